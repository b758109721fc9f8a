# Two commands do all the set-up on a fresh machine with Rust: `make run` and `make test`.

CARGO ?= cargo
DATA_DIR ?= ./hansard-data
DENY = tests/.setup/cargo-deny/bin/cargo-deny
target = $(shell $(CARGO) metadata --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

static_target = x86_64-unknown-linux-gnu

.PHONY: run agent-static check test test-rust test-console test-deep bench documents help

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST)

run: ## build and start everything on embedded defaults: SQLite, a folder for objects, this machine as an instance
	$(CARGO) build --locked --workspace --bins
	exec "$(target)/debug/hansard" serve --with-local-agent --data-dir "$(DATA_DIR)"

agent-static: ## the agent as one program that needs no libraries, as instances get it
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static" \
		$(CARGO) build --locked --profile agent --target $(static_target) -p hansard-agent
	@echo "$(target)/$(static_target)/agent/hansard-agent"

check: ## the inner loop: formatting, lints, unit tests
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) test --locked --workspace --lib --bins

test: ## everything: formatting, lints, unit, property, PostgreSQL, MariaDB, SDK, shell and browser tests
	tests/setup.sh
	$(MAKE) test-console
	$(MAKE) test-rust

test-rust:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(DENY) --locked check bans licenses sources
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps
	$(CARGO) build --locked --workspace --all-targets
	$(CARGO) test --locked --workspace

test-console: ## the console's own tests, and that console/dist is what its source builds to
	cd console && npm run check && npm test && npm run build
	git diff --exit-code -- console/dist
	@test -z "$$(git status --porcelain -- console/dist)" || { echo "console/dist holds files that are not committed" >&2; exit 1; }

test-deep: ## what takes longer: many more cases of every property and fault, the version before beside this one, schemathesis on the documents, the fuzzer, and auditors' tools that look at an account
	tests/setup.sh deep
	PROPTEST_CASES=20000 HANSARD_TEST_FUZZ_SECONDS=600 $(CARGO) test --locked --workspace --exclude whole-system --lib --tests
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --test api_documents -- --ignored
	$(CARGO) test --locked --workspace --test three_replicas -- --ignored
	HANSARD_TEST_FAULT_CASES=200 $(CARGO) test --locked --workspace --test faults -- --include-ignored
	$(MAKE) agent-static
	$(CARGO) test --locked --workspace --test static_agent -- --ignored
	HANSARD_TEST_DATABASE_AWAY_SECONDS=30 $(CARGO) test --locked -p persistence --test restarted
	tests/version_before.sh "$(target)/version-before"
	HANSARD_TEST_VERSION_BEFORE="$(target)/version-before/target/debug/hansard" \
		$(CARGO) test --locked --workspace --test version_before -- --ignored
	policies/fuzz/run.sh
	tests/auditors/run.sh

bench: ## the measurements; tests/bench/README.md says what they mean
	tests/setup.sh
	tests/bench/run.sh

documents: ## write anew what is made from the catalogue: OpenAPI documents, the page's table of actions, the authorization matrix
	UPDATE_OPENAPI=1 $(CARGO) test --locked -p openapi --test committed
	UPDATE_OPENAPI=1 $(CARGO) test --locked -p api --lib document
	UPDATE_PAGE=1 UPDATE_MATRIX=1 $(CARGO) test --locked -p domain --test policy_page --test authorization_matrix
