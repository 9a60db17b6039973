-- What the crawler knows: URLs, hosts, origins. Redis holds only what can be rebuilt from here.

CREATE TABLE hosts (
    host          text PRIMARY KEY,
    -- The politeness state (a shard's incarnation) under which the host was first and, if a
    -- crash interrupted its requests, last asked: a later incarnation holds it accordingly.
    first_fed_by  text,
    interrupted_before text,
    blocked_until timestamptz
);

CREATE TABLE origins (
    origin              text PRIMARY KEY,
    host                text NOT NULL,
    verdict             text NOT NULL DEFAULT 'disallow_all',
    robots              text NOT NULL DEFAULT '',
    crawl_delay_seconds double precision NOT NULL DEFAULT 0,
    expires_at          timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX origins_host ON origins (host);

CREATE TABLE pages (
    url_key          bytea PRIMARY KEY,
    url              text NOT NULL,
    host             text NOT NULL,
    origin           text NOT NULL,
    pack             text NOT NULL,
    kind             text NOT NULL,
    priority         smallint NOT NULL,
    depth            integer NOT NULL,
    hops             smallint NOT NULL,
    found_on         text NOT NULL,
    discovered_at    timestamptz NOT NULL DEFAULT now(),
    -- Null: never by itself.
    due              timestamptz DEFAULT now(),
    -- Rises at every claim, and when a claim is taken back; a commit under a lower one is dropped.
    claim_epoch      bigint NOT NULL DEFAULT 0,
    claimed_by       text,
    claimed_at       timestamptz,
    -- Times in a row that a processor raised, and that a worker died, over this row.
    attempts         smallint NOT NULL DEFAULT 0,
    crashes          smallint NOT NULL DEFAULT 0,
    state            text NOT NULL DEFAULT 'known',
    reason           text NOT NULL DEFAULT '',
    detail           text NOT NULL DEFAULT '',
    status           smallint NOT NULL DEFAULT 0,
    etag             text NOT NULL DEFAULT '',
    last_modified    text NOT NULL DEFAULT '',
    content_hash     text NOT NULL DEFAULT '',
    failures         integer NOT NULL DEFAULT 0,
    strikes          smallint NOT NULL DEFAULT 0,
    first_strike_at  double precision NOT NULL DEFAULT 0,
    interval_seconds double precision NOT NULL DEFAULT 0,
    canonical        text NOT NULL DEFAULT '',
    redirect_to      text NOT NULL DEFAULT '',
    document_id      text NOT NULL DEFAULT '',
    last_visit_at    timestamptz,
    removed_at       timestamptz
);
-- Which hosts have work, and which of their work comes first.
CREATE INDEX pages_due ON pages (host, due) WHERE claimed_by IS NULL AND due IS NOT NULL;
CREATE INDEX pages_order ON pages (host, priority DESC, due)
    WHERE claimed_by IS NULL AND due IS NOT NULL;
CREATE INDEX pages_claimed ON pages (claimed_at) WHERE claimed_by IS NOT NULL;
CREATE INDEX pages_pack ON pages (pack, kind);

-- Raw bodies, compressed by zlib, to be parsed again when a domain pack changes.
CREATE TABLE page_bodies (
    url_key      bytea PRIMARY KEY REFERENCES pages ON DELETE CASCADE,
    content_type text NOT NULL,
    body         bytea NOT NULL
);
ALTER TABLE page_bodies ALTER COLUMN body SET STORAGE EXTERNAL;
