-- SPDX-License-Identifier: MIT
-- What was answered as not made is not made later: a change whose connection broke may still be on its
-- way to the server, and one whose server process was stopped goes on when that does.
--
-- A change that was given up is a row of integration_changes whose revision is its tag below zero (tags
-- are positive). Revisions that replicas follow are never below zero.

-- Every change ends with an update of the store's one row, which it has held from its beginning.
CREATE OR REPLACE FUNCTION integration_check() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM integration_changes c WHERE c.revision = -NEW.tag) THEN
        RAISE 'the change was given up' USING ERRCODE = 'query_canceled';
    END IF;
    -- What is answered is on disk. (Other settings say which disks.)
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER IF EXISTS integration_check ON integration_store;
CREATE TRIGGER integration_check BEFORE UPDATE ON integration_store
    FOR EACH ROW EXECUTE FUNCTION integration_check();

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
