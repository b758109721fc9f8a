-- What is part of a key is a VARCHAR as long as its type in `domain` permits (a key has 3,072 bytes at most, of which a
-- character takes four). Every other text is a LONGTEXT, without a limit, as texts are in the other databases. What a
-- column cannot hold is refused and never cut: each connection sets the strict mode. MariaDB has no partial indexes: the
-- condition's column stands in the index instead.

CREATE TABLE IF NOT EXISTS accounts (
    account_id VARCHAR(32) NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id)
);

CREATE TABLE IF NOT EXISTS revisions (
    account_id VARCHAR(32) NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (account_id),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS users (
    user_id VARCHAR(32) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    name VARCHAR(64) NOT NULL,
    created_at BIGINT NOT NULL,
    display_name LONGTEXT NOT NULL DEFAULT '',
    mobile_phone LONGTEXT NOT NULL DEFAULT '',
    email LONGTEXT NOT NULL DEFAULT '',
    comments LONGTEXT NOT NULL DEFAULT '',
    changed_at BIGINT,
    last_login_at BIGINT,
    PRIMARY KEY (user_id),
    UNIQUE INDEX users_by_name (account_id, name),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS login_profiles (
    user_id VARCHAR(32) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    password_hash LONGTEXT NOT NULL,
    password_reset_required BOOLEAN NOT NULL,
    mfa_bind_required BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (user_id),
    FOREIGN KEY (user_id) REFERENCES users (user_id)
);

CREATE TABLE IF NOT EXISTS access_keys (
    access_key_id VARCHAR(128) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    user_id VARCHAR(32),
    sealed_secret LONGTEXT NOT NULL,
    status LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    last_used_service LONGTEXT,
    PRIMARY KEY (access_key_id),
    INDEX access_keys_by_owner (account_id, user_id),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id),
    FOREIGN KEY (user_id) REFERENCES users (user_id)
);

CREATE TABLE IF NOT EXISTS `groups` (
    group_id VARCHAR(32) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    name VARCHAR(64) NOT NULL,
    comments LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (group_id),
    UNIQUE INDEX groups_by_name (account_id, name),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS group_members (
    account_id VARCHAR(32) NOT NULL,
    group_id VARCHAR(32) NOT NULL,
    user_id VARCHAR(32) NOT NULL,
    joined_at BIGINT NOT NULL,
    PRIMARY KEY (group_id, user_id),
    INDEX group_members_by_user (account_id, user_id),
    FOREIGN KEY (group_id) REFERENCES `groups` (group_id),
    FOREIGN KEY (user_id) REFERENCES users (user_id)
);

CREATE TABLE IF NOT EXISTS roles (
    role_id VARCHAR(32) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    name VARCHAR(64) NOT NULL,
    description LONGTEXT NOT NULL,
    trust_policy LONGTEXT NOT NULL,
    max_session_seconds BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (role_id),
    UNIQUE INDEX roles_by_name (account_id, name),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS role_sessions (
    access_key_id VARCHAR(128) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    role_id VARCHAR(32) NOT NULL,
    session_name LONGTEXT NOT NULL,
    sealed_secret LONGTEXT NOT NULL,
    token_hash LONGTEXT NOT NULL,
    session_policy LONGTEXT,
    source_identity LONGTEXT,
    assumed_by LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (access_key_id),
    INDEX role_sessions_by_role (role_id),
    INDEX role_sessions_by_expiry (expires_at),
    FOREIGN KEY (role_id) REFERENCES roles (role_id)
);

CREATE TABLE IF NOT EXISTS policies (
    account_id VARCHAR(32) NOT NULL,
    name VARCHAR(128) NOT NULL,
    description LONGTEXT NOT NULL DEFAULT '',
    default_version BIGINT NOT NULL DEFAULT 1,
    last_version BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, name),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS policy_versions (
    account_id VARCHAR(32) NOT NULL,
    policy_name VARCHAR(128) NOT NULL,
    version BIGINT NOT NULL,
    document LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, policy_name, version),
    FOREIGN KEY (account_id, policy_name) REFERENCES policies (account_id, name)
);

CREATE TABLE IF NOT EXISTS attachments (
    account_id VARCHAR(32) NOT NULL,
    target_id VARCHAR(32) NOT NULL,
    policy_kind VARCHAR(16) NOT NULL,
    policy_name VARCHAR(128) NOT NULL,
    user_id VARCHAR(32),
    group_id VARCHAR(32),
    role_id VARCHAR(32),
    custom_policy VARCHAR(128),
    attached_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, target_id, policy_kind, policy_name),
    INDEX attachments_by_policy (account_id, policy_kind, policy_name),
    FOREIGN KEY (user_id) REFERENCES users (user_id),
    FOREIGN KEY (group_id) REFERENCES `groups` (group_id),
    FOREIGN KEY (role_id) REFERENCES roles (role_id),
    FOREIGN KEY (account_id, custom_policy) REFERENCES policies (account_id, name)
);

CREATE TABLE IF NOT EXISTS control_policies (
    account_id VARCHAR(32) NOT NULL,
    name VARCHAR(128) NOT NULL,
    level BIGINT NOT NULL,
    document LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, name),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS nonces (
    hash BINARY(32) NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (hash),
    INDEX nonces_by_expiry (expires_at)
);

CREATE TABLE IF NOT EXISTS audit_events (
    writer_id VARCHAR(64) NOT NULL,
    sequence BIGINT NOT NULL,
    chain LONGTEXT NOT NULL,
    request_id LONGTEXT NOT NULL,
    at BIGINT NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    principal VARCHAR(512) NOT NULL,
    access_key_id LONGTEXT,
    action LONGTEXT NOT NULL,
    resource LONGTEXT NOT NULL,
    decision VARCHAR(16) NOT NULL,
    decided_by LONGTEXT,
    result LONGTEXT NOT NULL,
    source_address LONGTEXT,
    user_agent LONGTEXT NOT NULL,
    recording LONGTEXT,
    how LONGTEXT NOT NULL,
    instance_id VARCHAR(80),
    PRIMARY KEY (writer_id, sequence),
    INDEX audit_events_by_time (account_id, at),
    INDEX audit_events_of_instance (account_id, instance_id, at),
    INDEX audit_events_of_principal (account_id, principal, at),
    INDEX audit_events_denied (account_id, decision, at),
    INDEX audit_events_of_recordings (account_id, action(64), writer_id, sequence)
);

CREATE TABLE IF NOT EXISTS audit_writers (
    writer_id VARCHAR(64) NOT NULL,
    origin VARCHAR(512),
    heard_at BIGINT NOT NULL,
    closed_at BIGINT,
    exported_events BIGINT NOT NULL,
    exported_anchors BIGINT NOT NULL,
    exported_at BIGINT,
    PRIMARY KEY (writer_id),
    INDEX audit_writers_to_close (closed_at, heard_at),
    INDEX audit_writers_to_export (exported_at, origin)
);

CREATE TABLE IF NOT EXISTS audit_anchors (
    writer_id VARCHAR(64) NOT NULL,
    number BIGINT NOT NULL,
    at BIGINT NOT NULL,
    anchor LONGTEXT NOT NULL,
    key_id LONGTEXT NOT NULL,
    signature LONGTEXT NOT NULL,
    PRIMARY KEY (writer_id, number)
);

CREATE TABLE IF NOT EXISTS audit_exports (
    origin VARCHAR(512) NOT NULL,
    day VARCHAR(16) NOT NULL,
    writer_id VARCHAR(64) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    first_number BIGINT NOT NULL,
    last_number BIGINT NOT NULL,
    exported_at BIGINT NOT NULL,
    PRIMARY KEY (origin, day, writer_id, kind)
);

CREATE TABLE IF NOT EXISTS record_configs (
    account_id VARCHAR(32) NOT NULL,
    selector VARCHAR(80) NOT NULL,
    enabled BOOLEAN NOT NULL,
    target LONGTEXT,
    expiration_days BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, selector),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS instances (
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    region LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, instance_id),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS instance_tags (
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    tag_key VARCHAR(128) NOT NULL,
    tag_value LONGTEXT NOT NULL,
    PRIMARY KEY (account_id, instance_id, tag_key),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS agents (
    agent_id VARCHAR(80) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    region LONGTEXT NOT NULL,
    authentication_key VARBINARY(255) NOT NULL,
    sealing_key VARBINARY(255) NOT NULL,
    hostname LONGTEXT NOT NULL,
    version LONGTEXT NOT NULL,
    enrolled_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    replaced_at BIGINT,
    agent_of VARCHAR(80),
    PRIMARY KEY (agent_id),
    UNIQUE INDEX agents_one_of_an_instance (account_id, agent_of),
    INDEX agents_newest (account_id, enrolled_at, agent_id),
    FOREIGN KEY (account_id, instance_id) REFERENCES instances (account_id, instance_id)
);

CREATE TABLE IF NOT EXISTS agent_capabilities (
    agent_id VARCHAR(80) NOT NULL,
    kind VARCHAR(255) NOT NULL,
    version LONGTEXT NOT NULL,
    PRIMARY KEY (agent_id, kind),
    FOREIGN KEY (agent_id) REFERENCES agents (agent_id)
);

CREATE TABLE IF NOT EXISTS agent_links (
    agent_id VARCHAR(80) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    replica_id LONGTEXT NOT NULL,
    internal_address LONGTEXT,
    epoch BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (agent_id),
    INDEX agent_links_of_instance (account_id, instance_id),
    FOREIGN KEY (agent_id) REFERENCES agents (agent_id)
);

CREATE TABLE IF NOT EXISTS join_tokens (
    hash VARCHAR(128) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    region LONGTEXT NOT NULL,
    instances LONGTEXT NOT NULL,
    permits_replace BOOLEAN NOT NULL,
    created_by LONGTEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    used_by LONGTEXT,
    PRIMARY KEY (hash),
    INDEX join_tokens_by_expiry (expires_at),
    FOREIGN KEY (account_id) REFERENCES accounts (account_id)
);

CREATE TABLE IF NOT EXISTS recordings (
    token VARCHAR(80) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    agent_id VARCHAR(80) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    target LONGTEXT NOT NULL,
    folder LONGTEXT NOT NULL,
    start_sha256 LONGTEXT NOT NULL,
    started_at BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    last_heard_at BIGINT NOT NULL,
    expiration_days BIGINT NOT NULL,
    state VARCHAR(32) NOT NULL,
    ended_at BIGINT,
    end_kind LONGTEXT,
    end_reason LONGTEXT,
    manifest_sha256 LONGTEXT,
    segments BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    last_at_micros BIGINT NOT NULL,
    expires_at BIGINT,
    counted BOOLEAN NOT NULL,
    session_owner VARCHAR(255),
    session_owner_id VARCHAR(128),
    claimed_owner LONGTEXT,
    listed_at BIGINT NOT NULL DEFAULT 0,
    recorder LONGTEXT,
    PRIMARY KEY (token),
    INDEX recordings_newest
        (account_id, listed_at, token, expires_at, instance_id, kind, session_owner_id, session_owner),
    INDEX recordings_newest_of_instance (account_id, instance_id, listed_at, token, expires_at),
    INDEX recordings_of_owner
        (account_id, session_owner_id, listed_at, token, expires_at, instance_id, kind, session_owner),
    INDEX recordings_expiring (account_id, counted, expires_at),
    INDEX recordings_expiring_of_instance (account_id, instance_id, counted, expires_at),
    INDEX recordings_by_state (account_id, state),
    INDEX recordings_of_agent (agent_id, state),
    FOREIGN KEY (agent_id) REFERENCES agents (agent_id)
);

CREATE TABLE IF NOT EXISTS recording_streams (
    token VARCHAR(80) NOT NULL,
    stream VARCHAR(32) NOT NULL,
    segments BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    chain LONGTEXT NOT NULL,
    last_at_micros BIGINT NOT NULL,
    PRIMARY KEY (token, stream),
    FOREIGN KEY (token) REFERENCES recordings (token)
);

CREATE TABLE IF NOT EXISTS recording_segments (
    token VARCHAR(80) NOT NULL,
    stream VARCHAR(32) NOT NULL,
    number BIGINT NOT NULL,
    length BIGINT NOT NULL,
    sha256 LONGTEXT NOT NULL,
    chain_after LONGTEXT NOT NULL,
    first_at_micros BIGINT NOT NULL,
    last_at_micros BIGINT NOT NULL,
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (token, stream, number),
    FOREIGN KEY (token) REFERENCES recordings (token)
);

-- Without a foreign key to its account: the check would wait for the lock by which sweeps of an account take turns, while
-- its transaction holds the recording that such a sweep waits for. PostgreSQL's check does not wait for that lock.
CREATE TABLE IF NOT EXISTS recording_counters (
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    visible BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (account_id, instance_id)
);

CREATE TABLE IF NOT EXISTS recording_links (
    token VARCHAR(80) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    number BIGINT NOT NULL,
    follows_at_start LONGTEXT,
    manifest_sha256 LONGTEXT,
    follows LONGTEXT,
    PRIMARY KEY (token),
    INDEX recording_links_of_account (account_id, token)
);

CREATE TABLE IF NOT EXISTS missing_recordings (
    account_id VARCHAR(32) NOT NULL,
    agent_id VARCHAR(80) NOT NULL,
    missing_key VARCHAR(128) NOT NULL,
    instance_id LONGTEXT NOT NULL,
    absence LONGTEXT NOT NULL,
    token LONGTEXT,
    first_number BIGINT,
    last_number BIGINT,
    since BIGINT NOT NULL,
    why LONGTEXT NOT NULL,
    found_at BIGINT NOT NULL,
    PRIMARY KEY (account_id, agent_id, missing_key)
);

CREATE TABLE IF NOT EXISTS unclaimed_objects (
    bucket VARCHAR(63) NOT NULL,
    name VARCHAR(700) NOT NULL,
    region LONGTEXT NOT NULL DEFAULT 'cn-hangzhou',
    account_id VARCHAR(32) NOT NULL,
    agent_id VARCHAR(80) NOT NULL,
    token LONGTEXT NOT NULL,
    evidence LONGTEXT NOT NULL,
    length BIGINT NOT NULL,
    counted_bytes BIGINT NOT NULL,
    permitted_at BIGINT NOT NULL,
    PRIMARY KEY (bucket, name),
    INDEX unclaimed_objects_of_agent (agent_id, counted_bytes),
    INDEX unclaimed_objects_oldest (account_id, permitted_at),
    FOREIGN KEY (agent_id) REFERENCES agents (agent_id)
);

CREATE TABLE IF NOT EXISTS waiting_recordings (
    agent_id VARCHAR(80) NOT NULL,
    account_id VARCHAR(32) NOT NULL,
    instance_id VARCHAR(80) NOT NULL,
    recordings BIGINT NOT NULL,
    reason LONGTEXT NOT NULL,
    since BIGINT NOT NULL,
    PRIMARY KEY (agent_id),
    INDEX waiting_recordings_of_account (account_id, instance_id),
    FOREIGN KEY (agent_id) REFERENCES agents (agent_id)
)
