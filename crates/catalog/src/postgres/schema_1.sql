CREATE TABLE users (
    id TEXT COLLATE "C" PRIMARY KEY,
    display_name TEXT NOT NULL,
    created_at_unix_ms BIGINT NOT NULL
);

-- Numbers of lives: only grows, also over rolled back creations. No cache: two sessions would hand out of order.
CREATE SEQUENCE incarnations AS BIGINT MINVALUE 1 NO CYCLE CACHE 1;

-- A name is any bytes: BYTEA, compared byte by byte.
CREATE TABLE namespaces (
    name BYTEA PRIMARY KEY,
    incarnation BIGINT NOT NULL UNIQUE,
    created_at_unix_ms BIGINT NOT NULL,
    UNIQUE (name, incarnation)
);

-- The incarnation stands here too: a right in one life of a name is no right in the next.
-- Rights: 1 reader, 2 writer, 3 owner.
CREATE TABLE memberships (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    namespace BYTEA NOT NULL,
    incarnation BIGINT NOT NULL,
    access SMALLINT NOT NULL CONSTRAINT memberships_access CHECK (access IN (1, 2, 3)),
    PRIMARY KEY (user_id, namespace),
    FOREIGN KEY (namespace, incarnation) REFERENCES namespaces (name, incarnation) ON DELETE CASCADE
);

CREATE INDEX memberships_by_namespace ON memberships (namespace, user_id);

CREATE TABLE user_groups (
    id TEXT COLLATE "C" PRIMARY KEY,
    display_name TEXT NOT NULL,
    created_at_unix_ms BIGINT NOT NULL
);

CREATE TABLE user_group_users (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
);

CREATE INDEX user_group_users_by_group ON user_group_users (group_id, user_id);

-- As memberships; 1 reader, 2 writer: a group owns nothing.
CREATE TABLE group_memberships (
    group_id TEXT COLLATE "C" NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    namespace BYTEA NOT NULL,
    incarnation BIGINT NOT NULL,
    access SMALLINT NOT NULL CONSTRAINT group_memberships_access CHECK (access IN (1, 2)),
    PRIMARY KEY (group_id, namespace),
    FOREIGN KEY (namespace, incarnation) REFERENCES namespaces (name, incarnation) ON DELETE CASCADE
);

CREATE INDEX group_memberships_by_namespace ON group_memberships (namespace, group_id);

-- Every way in which a user has a right: a user and a namespace may be here more than once.
CREATE VIEW rights AS
    SELECT user_id, namespace, incarnation, access FROM memberships
    UNION ALL
    SELECT u.user_id, g.namespace, g.incarnation, g.access
    FROM user_group_users AS u JOIN group_memberships AS g ON g.group_id = u.group_id;

-- A path may be longer than an entry of an index (2,704 bytes), so its digest is the key. BYTEA, because the
-- digest of text would depend on the encoding and cannot be generated.
CREATE TABLE mounts (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    path BYTEA NOT NULL,
    path_digest BYTEA NOT NULL GENERATED ALWAYS AS (sha256(path)) STORED,
    namespace BYTEA NOT NULL,
    incarnation BIGINT NOT NULL,
    PRIMARY KEY (user_id, path_digest),
    FOREIGN KEY (namespace, incarnation) REFERENCES namespaces (name, incarnation) ON DELETE CASCADE
);

CREATE INDEX mounts_by_namespace ON mounts (namespace, incarnation);

CREATE TABLE deleted_namespaces (
    incarnation BIGINT PRIMARY KEY,
    name BYTEA NOT NULL,
    deleted_at_unix_ms BIGINT NOT NULL,
    is_logged BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE INDEX deleted_namespaces_pending ON deleted_namespaces (incarnation) WHERE NOT is_logged;
