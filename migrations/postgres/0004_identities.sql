-- Accounts join only by an address that both sides have verified. A Google account's subject is Google's own id; its
-- address is an identity of provider 'password', with a secret only if its owner has set one.
ALTER TABLE identities ADD COLUMN verified BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE identities ADD COLUMN profile TEXT; -- names and picture, as JSON
