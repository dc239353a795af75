-- SPDX-License-Identifier: MIT
-- What was answered as not made is not made later: a change whose connection broke may still be on its
-- way to the server, and one whose server process was stopped goes on when that does.
--
-- A change that was given up is a row of integration_changes whose revision is its tag below zero (tags
-- are positive). Revisions that replicas follow are never below zero.

-- As before, but for changes that were given up, and for commits that would not wait for the disk.
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
    IF EXISTS (SELECT FROM integration_changes c WHERE c.revision = -the_tag) THEN
        RAISE 'the change was given up' USING ERRCODE = 'query_canceled';
    END IF;
    -- What is answered is on disk. (Other settings say which disks.)
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
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

-- Says what became of the change that has this tag: the revision it made and when, or NULL. Then it has
-- been given up, and is never made.
CREATE OR REPLACE FUNCTION integration_settle(
    the_tag bigint, OUT the_revision bigint, OUT made_us bigint)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM integration_store FOR UPDATE; -- whoever has it is making a change: this one, perhaps
    SELECT max(c.revision), integration_us(max(c.made_at)) INTO the_revision, made_us
        FROM integration_changes c WHERE c.tag = the_tag AND c.revision > 0;
    IF the_revision IS NULL THEN
        INSERT INTO integration_changes (revision, tag, sequence, id, made_at)
            VALUES (-the_tag, 0, 0, '', clock_timestamp()) ON CONFLICT DO NOTHING;
    END IF;
END $$;

-- Waits for all that a change waits for, changes nothing, and returns the revision of the store; NULL if
-- there is none.
CREATE OR REPLACE FUNCTION integration_ready() RETURNS bigint
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true); -- there is nothing to keep
    LOCK TABLE integration_documents, integration_changes IN ROW EXCLUSIVE MODE;
    RETURN (SELECT s.revision FROM integration_store s FOR UPDATE);
END $$;
