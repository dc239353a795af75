-- SPDX-License-Identifier: MIT
-- Changes under a condition: the revision that the document must have.

-- Makes one change: 'create', 'replace', 'put' or 'remove', the latter three only if the document there
-- has if_revision (0: whatever it has). outcome: 'created', 'replaced', 'removed'; or, with nothing
-- changed, 'missing', or 'exists' or 'changed' and the_revision of the document there.
CREATE FUNCTION integration_change(
    operation text, the_id text, the_document json, the_tag bigint, if_revision bigint,
    OUT outcome text, OUT the_revision bigint, OUT the_previous_tag bigint, OUT the_sequence bigint,
    OUT created_us bigint, OUT updated_us bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    created timestamptz := moment;
    found_sequence bigint;
    found_revision bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'integration_change() needs READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    SELECT revision + 1, tag, sequence + 1 INTO the_revision, the_previous_tag, the_sequence
        FROM integration_store FOR UPDATE;
    SELECT sequence, revision, created_at INTO found_sequence, found_revision, created
        FROM integration_documents WHERE id = the_id;
    IF found_sequence IS NOT NULL THEN
        IF operation = 'create' THEN
            outcome := 'exists';
        ELSIF if_revision <> 0 AND if_revision <> found_revision THEN
            outcome := 'changed';
        END IF;
        IF outcome IS NOT NULL THEN
            the_revision := found_revision;
            RETURN;
        END IF;
        the_sequence := found_sequence;
    ELSIF operation IN ('replace', 'remove') THEN
        outcome := 'missing';
        RETURN;
    END IF;
    IF operation = 'remove' THEN
        DELETE FROM integration_documents WHERE sequence = the_sequence;
        outcome := 'removed';
    ELSIF found_sequence IS NULL THEN
        created := moment;
        INSERT INTO integration_documents (sequence, id, revision, created_at, updated_at, document)
            VALUES (the_sequence, the_id, the_revision, moment, moment, the_document);
        outcome := 'created';
    ELSE
        UPDATE integration_documents
            SET revision = the_revision, updated_at = moment, document = the_document
            WHERE sequence = the_sequence;
        outcome := 'replaced';
    END IF;
    UPDATE integration_store
        SET revision = the_revision, tag = the_tag, previous_tag = the_previous_tag,
            sequence = greatest(sequence, the_sequence);
    INSERT INTO integration_changes (revision, tag, sequence, id)
        VALUES (the_revision, the_tag, the_sequence, the_id);
    PERFORM pg_notify('integration_store', the_revision::text);
    created_us := (extract(epoch FROM created) * 1000000)::bigint;
    updated_us := (extract(epoch FROM moment) * 1000000)::bigint;
END $$;

-- As a version before calls it, which may still run on other hosts.
CREATE OR REPLACE FUNCTION integration_change(
    operation text, the_id text, the_document json, the_tag bigint,
    OUT outcome text, OUT the_revision bigint, OUT the_previous_tag bigint, OUT the_sequence bigint,
    OUT created_us bigint, OUT updated_us bigint)
LANGUAGE sql AS $$
    SELECT * FROM integration_change(operation, the_id, the_document, the_tag, 0);
$$;
