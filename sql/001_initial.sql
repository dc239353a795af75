-- SPDX-License-Identifier: MIT
-- Integrations in PostgreSQL, and what a replica needs to follow them.
--
-- Every change goes through integration_change(), which locks the one row of integration_store first
-- and holds it to the commit: so revisions are given in the order of commits, without gaps, and whoever
-- has seen revision N has seen all before it. A sequence would not do: its numbers become visible out
-- of order.

CREATE TABLE integration_store (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    revision bigint NOT NULL,
    -- A random number that came with the revision. Two histories that have the same revision with
    -- different tags are not the same: another database, or an older one that went another way.
    tag bigint NOT NULL,
    previous_tag bigint NOT NULL,
    sequence bigint NOT NULL -- the last one given to a document
) WITH (fillfactor = 10);

CREATE TABLE integration_documents (
    sequence bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE CHECK (octet_length(id) BETWEEN 1 AND 255),
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    document json NOT NULL -- not jsonb, which re-orders members, rewrites numbers and refuses \u0000
);

-- What was changed when; old rows are pruned.
CREATE TABLE integration_changes (
    revision bigint PRIMARY KEY,
    tag bigint NOT NULL,
    sequence bigint NOT NULL,
    id text COLLATE "C" NOT NULL
);

INSERT INTO integration_store (revision, tag, previous_tag, sequence)
    VALUES (0, (random() * 9007199254740991)::bigint, 0, 0);
INSERT INTO integration_changes (revision, tag, sequence, id)
    SELECT revision, tag, 0, '' FROM integration_store;

-- Makes one change: 'create', 'replace', 'put' or 'remove'. outcome: 'created', 'replaced', 'removed',
-- or, with nothing changed, 'exists' or 'missing'.
CREATE FUNCTION integration_change(
    operation text, the_id text, the_document json, the_tag bigint,
    OUT outcome text, OUT the_revision bigint, OUT the_previous_tag bigint, OUT the_sequence bigint,
    OUT created_us bigint, OUT updated_us bigint)
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    created timestamptz := moment;
    found_sequence bigint;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE 'integration_change() needs READ COMMITTED' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    SELECT revision + 1, tag, sequence + 1 INTO the_revision, the_previous_tag, the_sequence
        FROM integration_store FOR UPDATE;
    SELECT sequence, created_at INTO found_sequence, created
        FROM integration_documents WHERE id = the_id;
    IF found_sequence IS NOT NULL THEN
        IF operation = 'create' THEN
            outcome := 'exists';
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
