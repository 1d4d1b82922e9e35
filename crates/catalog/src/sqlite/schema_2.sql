CREATE TABLE user_groups (
    id TEXT NOT NULL PRIMARY KEY,
    display_name TEXT NOT NULL,
    created_at_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE user_group_users (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX user_group_users_by_group ON user_group_users (group_id, user_id);

-- As memberships; 1 reader, 2 writer: a group owns nothing.
CREATE TABLE group_memberships (
    group_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,
    namespace BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    access INTEGER NOT NULL CHECK (access IN (1, 2)),
    PRIMARY KEY (group_id, namespace),
    FOREIGN KEY (namespace, incarnation) REFERENCES namespaces (name, incarnation) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX group_memberships_by_namespace ON group_memberships (namespace, group_id);

-- Every way in which a user has a right: a user and a namespace may be here more than once.
CREATE VIEW rights AS
    SELECT user_id, namespace, incarnation, access FROM memberships
    UNION ALL
    SELECT u.user_id, g.namespace, g.incarnation, g.access
    FROM user_group_users AS u JOIN group_memberships AS g ON g.group_id = u.group_id;

CREATE TABLE mounts (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    namespace BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    PRIMARY KEY (user_id, path),
    FOREIGN KEY (namespace, incarnation) REFERENCES namespaces (name, incarnation) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX mounts_by_namespace ON mounts (namespace, incarnation);
