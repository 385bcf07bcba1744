-- The trace of the request that an event came with: id, span and flags.
ALTER TABLE events ADD COLUMN trace BLOB;
