-- SPDX-License-Identifier: MIT
-- Sealed documents (src/seal/seal.h): settings that only the hosts can read. What is bound to them is
-- known only while the store is locked: so a host looks first, and then makes its change.

-- The name of the key that a document is sealed with; NULL: it is not sealed.
CREATE OR REPLACE FUNCTION integration_seal_key(document json) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN right(document::text, 2) = '"}' THEN
        substring(document::text FROM ',"settings":"1:([-A-Za-z0-9._]{1,32}):[A-Za-z0-9+/=]*"}$') END;
$$;

ALTER TABLE integration_documents
    ADD COLUMN IF NOT EXISTS seal_key text; -- of the document; NULL: it is not sealed
ALTER TABLE integration_changes
    ADD COLUMN IF NOT EXISTS before_seal_key text; -- likewise, of the one before
CREATE INDEX IF NOT EXISTS integration_documents_seal_key ON integration_documents (seal_key)
    WHERE seal_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS integration_changes_before_seal_key ON integration_changes (before_seal_key)
    WHERE before_seal_key IS NOT NULL;

-- Whatever writes a document, also a program of the version before. (Without functions of ours: when data
-- alone is restored, pg_restore looks for none.)
CREATE OR REPLACE FUNCTION integration_note_seal_key() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'integration_documents' THEN
        NEW.seal_key := CASE WHEN right(NEW.document::text, 2) = '"}' THEN substring(NEW.document::text
            FROM ',"settings":"1:([-A-Za-z0-9._]{1,32}):[A-Za-z0-9+/=]*"}$') END;
    ELSE
        NEW.before_seal_key := CASE WHEN right(NEW.before::text, 2) = '"}' THEN substring(NEW.before::text
            FROM ',"settings":"1:([-A-Za-z0-9._]{1,32}):[A-Za-z0-9+/=]*"}$') END;
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS integration_seal_key ON integration_documents;
CREATE TRIGGER integration_seal_key BEFORE INSERT OR UPDATE OF document ON integration_documents
    FOR EACH ROW EXECUTE FUNCTION integration_note_seal_key();
DROP TRIGGER IF EXISTS integration_seal_key ON integration_changes;
CREATE TRIGGER integration_seal_key BEFORE INSERT OR UPDATE OF before ON integration_changes
    FOR EACH ROW EXECUTE FUNCTION integration_note_seal_key();

-- A document as it is read. A sealed one that was changed afterwards, by the log, is an old row that
-- somebody has put back: what is shown of it cannot be opened.
CREATE OR REPLACE FUNCTION integration_readable(the_id text, the_revision bigint, document json)
RETURNS json
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN integration_seal_key(document) IS NOT NULL AND EXISTS (
            SELECT FROM integration_changes c WHERE c.id = the_id AND c.revision > the_revision)
        THEN (regexp_replace(document::text, '[A-Za-z0-9+/=]*"}$', '"}'))::json ELSE document END;
$$;

-- Locks the store for the rest of the transaction, and tells what changes of these ids begin with: for
-- each, in this order, the document that there is, and the place that it has or, if it was removed, may
-- get again.
CREATE OR REPLACE FUNCTION integration_look(ids text[], limit_ms bigint)
RETURNS TABLE (store_key text, store_revision bigint, store_sequence bigint, sequence bigint,
    revision bigint, document json)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    store record;
BEGIN
    IF limit_ms IS NOT NULL THEN
        PERFORM set_config('lock_timeout', limit_ms::text, true);
    END IF;
    SELECT encode(s.mask_key, 'hex') AS key, s.revision, s.sequence INTO store
        FROM integration_store s FOR UPDATE;
    RETURN QUERY SELECT store.key, store.revision, store.sequence,
            coalesce(d.sequence, CASE WHEN o.sequence IS NULL THEN p.sequence END), d.revision, d.document
        FROM unnest(ids) WITH ORDINALITY AS i(id, place)
            LEFT JOIN integration_documents d ON d.id = i.id
            LEFT JOIN LATERAL (SELECT c.sequence FROM integration_changes c
                WHERE d.id IS NULL AND c.id = i.id AND c.revision > 0
                ORDER BY c.revision DESC LIMIT 1) p ON true
            LEFT JOIN integration_documents o ON o.sequence = p.sequence
        ORDER BY i.place;
END $$;

-- As in 006_history.sql. the_members, the_sequences: what the caller has found out of each change, by
-- integration_look(), because of documents that are sealed; NULL: nothing.
CREATE OR REPLACE FUNCTION integration_make(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
    the_members json[], the_sequences bigint[],
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
    FOR change IN SELECT * FROM unnest(operations, ids, documents, if_revisions, if_us, the_members,
            the_sequences) AS c(operation, id, document, if_revision, us, members, sequence)
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
        IF change.sequence <> the_sequence THEN
            RAISE 'the document was sealed for another place' USING ERRCODE = 'serialization_failure';
        END IF;
        last_revision := last_revision + 1;
        INSERT INTO integration_changes (revision, tag, sequence, id, made_at, operation, actor,
                request_id, members, before_revision, before_created_at, before_updated_at, before)
            VALUES (last_revision, the_tag, the_sequence, change.id, moment,
                CASE WHEN outcome = 'removed' THEN 'remove' WHEN outcome = 'created'
                    AND change.operation <> 'recreate' THEN 'create' ELSE 'replace' END,
                the_actor, the_request_id, coalesce(change.members, integration_members(before, change.document)),
                coalesce(found_revision, 0), CASE WHEN found_revision > 0 THEN made END, changed,
                before);
    END LOOP;
    created_at_us := integration_us(made);
END $$;

-- As in 006_history.sql; the_members, the_sequences: as above.
CREATE OR REPLACE FUNCTION integration_change(
    operations text[], ids text[], documents json[], if_revisions bigint[], if_us bigint[],
    the_members json[], the_sequences bigint[], the_actor text, the_request_id text,
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
        result := integration_make(operations, ids, documents, if_revisions, if_us, the_members,
            the_sequences, the_actor, the_request_id, the_tag, moment, before.revision, before.sequence);
    ELSE
        BEGIN
            result := integration_make(operations, ids, documents, if_revisions, if_us,
                the_members, the_sequences, the_actor, the_request_id, the_tag, moment, before.revision, before.sequence);
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
    the_actor text, the_request_id text,
    the_tag bigint, if_store_revision bigint, if_store_tag bigint, limit_ms bigint,
    OUT outcome text, OUT failed integer, OUT created integer, OUT the_revision bigint,
    OUT the_previous_tag bigint, OUT the_sequence bigint, OUT created_us bigint,
    OUT updated_us bigint, OUT found_revision bigint, OUT found_tag bigint)
LANGUAGE sql AS $$
    SELECT * FROM integration_change(operations, ids, documents, if_revisions, if_us, NULL, NULL,
        the_actor, the_request_id, the_tag, if_store_revision, if_store_tag, limit_ms);
$$;
-- (The integration_make() of 006_history.sql stays: a change that waits for this migration goes on with
-- it.)

-- Writes documents again that have been sealed anew, of which the revision is still this.
CREATE OR REPLACE FUNCTION integration_reseal(sequences bigint[], revisions bigint[], documents json[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM FROM integration_store FOR UPDATE; -- first, as all changes do
    UPDATE integration_documents d SET document = n.document
        FROM unnest(sequences, revisions, documents) AS n(sequence, revision, document)
        WHERE d.sequence = n.sequence AND d.revision = n.revision;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $$;

-- The same of the documents before changes.
CREATE OR REPLACE FUNCTION integration_reseal_before(revisions bigint[], documents json[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM FROM integration_store FOR UPDATE;
    UPDATE integration_changes c SET before = n.document
        FROM unnest(revisions, documents) AS n(revision, document)
        WHERE c.revision = n.revision AND c.before IS NOT NULL;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $$;
