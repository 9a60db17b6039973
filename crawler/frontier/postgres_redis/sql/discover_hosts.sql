-- Hosts that are asked, in order. $1: hosts.
INSERT INTO hosts (host) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
