-- SPDX-License-Identifier: MIT
-- The log of changes: who changed which members when, and what was there before.
--
-- Programs of the versions before go on with the function that they know, which is kept below; their
-- changes are logged without an author.

ALTER TABLE integration_changes
    ADD COLUMN IF NOT EXISTS operation text, -- create, replace or remove; NULL: not logged
    ADD COLUMN IF NOT EXISTS actor text, -- the name of a key, or a command; NULL: unknown
    ADD COLUMN IF NOT EXISTS request_id text,
    ADD COLUMN IF NOT EXISTS members json, -- names of those that changed, never a value
    ADD COLUMN IF NOT EXISTS before_revision bigint, -- 0: there was none
    ADD COLUMN IF NOT EXISTS before_created_at timestamptz,
    ADD COLUMN IF NOT EXISTS before_updated_at timestamptz,
    ADD COLUMN IF NOT EXISTS before json; -- NULL: there was none, or it is not kept any more
CREATE INDEX IF NOT EXISTS integration_changes_id ON integration_changes (id, revision);
CREATE INDEX IF NOT EXISTS integration_changes_before ON integration_changes (id, revision)
    WHERE before IS NOT NULL;

-- The names of the members that differ, sorted by bytes, those of the outermost members of the settings
-- as settings.NAME. NULL: that cannot be said of what an administrator has written. (PostgreSQL has no
-- U+0000 in its texts, and refuses to look into JSON with it; another character stands in.)
CREATE OR REPLACE FUNCTION integration_members(before json, after json) RETURNS json
LANGUAGE plpgsql STABLE AS $$
DECLARE
    earlier json := replace(before::text, '\u0000', '\ue000')::json;
    later json := replace(after::text, '\u0000', '\ue000')::json;
BEGIN
    RETURN coalesce((SELECT json_agg(m.name ORDER BY m.name COLLATE "C") FROM (
        SELECT key AS name FROM (SELECT * FROM json_each(earlier) WHERE key <> 'settings') b
            FULL JOIN (SELECT * FROM json_each(later) WHERE key <> 'settings') a USING (key)
            WHERE key <> 'id' AND b.value::text IS DISTINCT FROM a.value::text
        UNION ALL
        SELECT 'settings.' || key FROM json_each(earlier -> 'settings') b
            FULL JOIN json_each(later -> 'settings') a USING (key)
            WHERE b.value::text IS DISTINCT FROM a.value::text) m), '[]');
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- As in 003_versions.sql; 'recreate' creates, and gives what was removed its old place in the order.
CREATE OR REPLACE FUNCTION integration_make(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
    the_actor text, the_request_id text, the_tag bigint, moment timestamptz,
    INOUT last_revision bigint, INOUT last_sequence bigint,
    OUT outcome text, OUT failed integer, OUT created integer, OUT the_sequence bigint,
    OUT found_revision bigint, OUT created_at_us bigint, OUT found_us bigint)
LANGUAGE plpgsql AS $$
DECLARE
    change record;
    made timestamptz;
    changed timestamptz;
    before json;
BEGIN
    created := 0;
    failed := -1;
    -- Not by index, for to find an element of an array takes as long as it has elements.
    FOR change IN SELECT * FROM unnest(operations, ids, documents, if_revisions, if_us)
        AS c(operation, id, document, if_revision, us)
    LOOP
        failed := failed + 1;
        SELECT d.sequence, d.revision, d.created_at, d.updated_at, d.document
            INTO the_sequence, found_revision, made, changed, before
            FROM integration_documents d WHERE d.id = change.id;
        IF the_sequence IS NULL THEN
            IF change.operation IN ('replace', 'remove') THEN
                outcome := 'missing';
                RETURN;
            END IF;
            IF change.operation = 'recreate' THEN
                SELECT p.sequence, p.before_created_at INTO the_sequence, made FROM (
                    SELECT c.sequence, c.before_created_at FROM integration_changes c
                        WHERE c.id = change.id AND c.revision > 0 ORDER BY c.revision DESC LIMIT 1) p
                    WHERE NOT EXISTS (
                        SELECT FROM integration_documents d WHERE d.sequence = p.sequence);
            END IF;
            IF the_sequence IS NULL THEN
                last_sequence := last_sequence + 1;
                the_sequence := last_sequence;
            END IF;
            made := coalesce(made, moment);
            created := created + 1;
            outcome := 'created';
            INSERT INTO integration_documents
                (sequence, id, revision, created_at, updated_at, document)
                VALUES (the_sequence, change.id, last_revision + 1, made, moment, change.document);
        ELSE
            found_us := integration_us(changed);
            IF change.operation IN ('create', 'recreate') THEN
                outcome := 'exists';
                RETURN;
            ELSIF change.if_revision <> 0
                AND (change.if_revision <> found_revision OR change.us <> found_us) THEN
                outcome := 'changed';
                RETURN;
            ELSIF change.operation = 'remove' THEN
                outcome := 'removed';
                DELETE FROM integration_documents WHERE sequence = the_sequence;
            ELSE
                outcome := 'replaced';
                UPDATE integration_documents
                    SET revision = last_revision + 1, updated_at = moment, document = change.document
                    WHERE sequence = the_sequence;
            END IF;
        END IF;
        last_revision := last_revision + 1;
        INSERT INTO integration_changes (revision, tag, sequence, id, made_at, operation, actor,
                request_id, members, before_revision, before_created_at, before_updated_at, before)
            VALUES (last_revision, the_tag, the_sequence, change.id, moment,
                CASE WHEN outcome = 'removed' THEN 'remove' WHEN outcome = 'created'
                    AND change.operation <> 'recreate' THEN 'create' ELSE 'replace' END,
                the_actor, the_request_id, integration_members(before, change.document),
                coalesce(found_revision, 0), CASE WHEN found_revision > 0 THEN made END, changed,
                before);
    END LOOP;
    created_at_us := integration_us(made);
END $$;

-- As in 003_versions.sql; the_actor, the_request_id: who makes the changes (NULL: unknown), and which
-- request caused them (NULL: none).
CREATE OR REPLACE FUNCTION integration_change(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
    the_actor text, the_request_id text,
    the_tag bigint, if_store_revision bigint, if_store_tag bigint, limit_ms bigint,
    OUT outcome text, OUT failed integer, OUT created integer, OUT the_revision bigint,
    OUT the_previous_tag bigint, OUT the_sequence bigint, OUT created_us bigint,
    OUT updated_us bigint, OUT found_revision bigint, OUT found_tag bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
    before record;
    result record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'integration_change() needs READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    IF limit_ms IS NOT NULL THEN
        PERFORM set_config('lock_timeout', limit_ms::text, true);
    END IF;
    SELECT s.revision, s.tag, s.sequence INTO before FROM integration_store s FOR UPDATE;
    IF if_store_revision <> before.revision OR if_store_tag <> before.tag THEN
        outcome := 'elsewhere';
        found_revision := before.revision;
        found_tag := before.tag;
        RETURN;
    END IF;
    -- Taken with the lock, and never earlier than that of the change before: times are in the order
    -- of revisions, whatever the clock does.
    moment := greatest(clock_timestamp(), (SELECT c.made_at + interval '1 microsecond'
        FROM integration_changes c WHERE c.revision = before.revision));
    IF cardinality(ids) = 1 THEN
        result := integration_make(operations, ids, documents, if_revisions, if_us, the_actor,
            the_request_id, the_tag, moment, before.revision, before.sequence);
    ELSE
        BEGIN
            result := integration_make(operations, ids, documents, if_revisions, if_us, the_actor,
                the_request_id, the_tag, moment, before.revision, before.sequence);
            IF result.outcome IN ('missing', 'exists', 'changed') THEN
                RAISE SQLSTATE 'IS001';
            END IF;
        EXCEPTION WHEN SQLSTATE 'IS001' THEN
            NULL; -- undone
        END;
    END IF;
    outcome := result.outcome;
    failed := result.failed;
    created := result.created;
    IF outcome IN ('missing', 'exists', 'changed') THEN
        found_revision := result.found_revision;
        found_tag := result.found_us;
        RETURN;
    END IF;
    UPDATE integration_store
        SET revision = result.last_revision, tag = the_tag, previous_tag = before.tag,
            sequence = result.last_sequence;
    PERFORM pg_notify('integration_store', result.last_revision::text);
    the_revision := result.last_revision;
    the_previous_tag := before.tag;
    the_sequence := result.the_sequence;
    created_us := result.created_at_us;
    updated_us := integration_us(moment);
    IF clock_timestamp() > statement_timestamp() + limit_ms * interval '1 millisecond' THEN
        RAISE 'the time for the change is over' USING ERRCODE = 'query_canceled';
    END IF;
END $$;

-- As the version before calls it.
CREATE OR REPLACE FUNCTION integration_change(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
    the_tag bigint, if_store_revision bigint, if_store_tag bigint, limit_ms bigint,
    OUT outcome text, OUT failed integer, OUT created integer, OUT the_revision bigint,
    OUT the_previous_tag bigint, OUT the_sequence bigint, OUT created_us bigint,
    OUT updated_us bigint, OUT found_revision bigint, OUT found_tag bigint)
LANGUAGE sql AS $$
    SELECT * FROM integration_change(operations, ids, documents, if_revisions, if_us, NULL, NULL,
        the_tag, if_store_revision, if_store_tag, limit_ms);
$$;
-- (The integration_make() of 003_versions.sql stays: a change that waits for this migration goes on with
-- it.)

-- Lets go of what is not kept any more, some of it at a time: documents of versions before the newest
-- `versions` of each integration that was changed lately; entries older than that many days, but for the last `followed`, which
-- replicas need; and changes that were given up (004_fences.sql).
CREATE OR REPLACE FUNCTION integration_prune(versions bigint, days bigint, followed bigint)
RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    oldest timestamptz := now() - days * interval '1 day';
    newest bigint := (SELECT s.revision FROM integration_store s);
BEGIN
    UPDATE integration_changes c SET before = NULL
        FROM (SELECT DISTINCT l.id FROM integration_changes l WHERE l.revision > newest - 2000) i,
            LATERAL (SELECT b.revision FROM integration_changes b
                WHERE b.id = i.id AND b.before IS NOT NULL
                ORDER BY b.revision DESC OFFSET versions LIMIT 100) o
        WHERE c.revision = o.revision;
    UPDATE integration_changes SET operation = NULL, before = NULL WHERE revision IN (
        SELECT c.revision FROM integration_changes c
        WHERE c.revision BETWEEN newest - followed AND newest
            AND c.operation IS NOT NULL AND c.made_at < oldest LIMIT 2000);
    DELETE FROM integration_changes WHERE revision IN (
        SELECT c.revision FROM (SELECT f.revision, f.made_at, f.operation
            FROM integration_changes f WHERE f.revision BETWEEN 0 AND newest - followed - 1
            ORDER BY f.revision LIMIT 2000) c
        WHERE c.made_at < oldest OR c.operation IS NULL);
    DELETE FROM integration_changes WHERE revision < 0 AND made_at < now() - interval '1 day';
END $$;
