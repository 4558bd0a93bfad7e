-- Milliseconds since 1970 by the database's clock: what expires, expires by one clock, whatever the servers' clocks say.
CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;
