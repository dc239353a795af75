-- SPDX-License-Identifier: MIT
--
-- The random key of the store, with which the secrets in settings are masked (244 random bits; without
-- it, nobody can tell from a mask what is behind it). All hosts use the same.
ALTER TABLE integration_store ADD COLUMN IF NOT EXISTS mask_key bytea NOT NULL
    DEFAULT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));
