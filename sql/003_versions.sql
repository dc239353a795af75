-- SPDX-License-Identifier: MIT
-- Versions that tell apart two histories of a store, and several changes in one call.
--
-- Programs of the versions before go on with the functions that they know, which are kept below.

-- The newest migration that was applied although programs that only know `version` can go on: those
-- that add. A program must know the newest `version`.
ALTER TABLE integration_schema ADD COLUMN addition int8 NOT NULL DEFAULT 0;

-- When the change was made; NULL: by a version before.
ALTER TABLE integration_changes ADD COLUMN made_at timestamptz;

CREATE OR REPLACE FUNCTION integration_us(moment timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$ SELECT (extract(epoch FROM moment) * 1000000)::bigint $$;

-- Makes changes in order, up to the first that cannot be made, which is number `failed` (from 0; its
-- outcome, and the version of the document there, are as below). The caller holds the store's row, and
-- undoes what was made. last: the revision and the sequence number last given.
CREATE OR REPLACE FUNCTION integration_make(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
    the_tag bigint, moment timestamptz, INOUT last_revision bigint, INOUT last_sequence bigint,
    OUT outcome text, OUT failed integer, OUT created integer, OUT the_sequence bigint,
    OUT found_revision bigint, OUT created_at_us bigint, OUT found_us bigint)
LANGUAGE plpgsql AS $$
DECLARE
    change record;
    made timestamptz;
    changed timestamptz;
BEGIN
    created := 0;
    failed := -1;
    -- Not by index, for to find an element of an array takes as long as it has elements.
    FOR change IN SELECT * FROM unnest(operations, ids, documents, if_revisions, if_us)
        AS c(operation, id, document, if_revision, us)
    LOOP
        failed := failed + 1;
        SELECT d.sequence, d.revision, d.created_at, d.updated_at
            INTO the_sequence, found_revision, made, changed
            FROM integration_documents d WHERE d.id = change.id;
        IF the_sequence IS NULL THEN
            IF change.operation IN ('replace', 'remove') THEN
                outcome := 'missing';
                RETURN;
            END IF;
            last_sequence := last_sequence + 1;
            the_sequence := last_sequence;
            made := moment;
            created := created + 1;
            outcome := 'created';
            INSERT INTO integration_documents
                (sequence, id, revision, created_at, updated_at, document)
                VALUES (the_sequence, change.id, last_revision + 1, moment, moment, change.document);
        ELSE
            found_us := integration_us(changed);
            IF change.operation = 'create' THEN
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
        INSERT INTO integration_changes (revision, tag, sequence, id, made_at)
            VALUES (last_revision, the_tag, the_sequence, change.id, moment);
    END LOOP;
    created_at_us := integration_us(made);
END $$;

-- Makes all changes, each 'create', 'replace', 'put' or 'remove', the latter three only if the document
-- there has the revision and the time of its last change that if_revisions and if_us require (revision
-- 0: whatever it has); or none. They get consecutive revisions, the last one is the_revision. Nothing is
-- made unless the store is at if_store_revision and if_store_tag (NULL: wherever it is), and unless it
-- can be made within limit_ms, which includes the wait for the others (NULL: however long it takes).
--
-- outcome: 'created', 'replaced' or 'removed', of the last change; or, with nothing changed, 'missing',
-- 'exists', 'changed', for number `failed` (found: the version of the document there), or 'elsewhere'
-- (found: the version of the store).
CREATE OR REPLACE FUNCTION integration_change(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
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
        result := integration_make(operations, ids, documents, if_revisions, if_us, the_tag, moment,
            before.revision, before.sequence);
    ELSE
        BEGIN
            result := integration_make(operations, ids, documents, if_revisions, if_us, the_tag,
                moment, before.revision, before.sequence);
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

-- As versions before call it.
CREATE OR REPLACE FUNCTION integration_change(
    operation text, the_id text, the_document json, the_tag bigint, if_revision bigint,
    OUT outcome text, OUT the_revision bigint, OUT the_previous_tag bigint, OUT the_sequence bigint,
    OUT created_us bigint, OUT updated_us bigint)
LANGUAGE sql AS $$
    SELECT c.outcome, coalesce(c.the_revision, c.found_revision), c.the_previous_tag,
        c.the_sequence, c.created_us, c.updated_us
    FROM (SELECT d.updated_at FROM (SELECT the_id) i
            LEFT JOIN integration_documents d ON d.id = i.the_id AND d.revision = if_revision) seen,
        integration_change(ARRAY[operation], ARRAY[the_id], ARRAY[the_document],
            ARRAY[if_revision], ARRAY[coalesce(integration_us(seen.updated_at), 0)], the_tag,
            NULL, NULL, NULL) c;
$$;
