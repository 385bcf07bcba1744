-- Version 3.

-- The trace of the request that an event came with: id, span and flags. Segments from before get it too.
ALTER TABLE events_template ADD COLUMN trace bytea;
DO $$
DECLARE
    segment text;
BEGIN
    FOR segment IN
        SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
        AND relname ~ '^events_\d+d_\d{4}_\d\d_\d\d$'
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN trace bytea', segment);
    END LOOP;
END $$;
