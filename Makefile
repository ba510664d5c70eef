# A line that begins with "##" describes the target below it: `make help` prints them.

PREFIX ?= /usr/local
# What the client is called when it is installed: where Red Hat's `rpm` lives, take another name.
CLIENT ?= rpm
# Words for the benchmark: BENCH='restart --quick'
BENCH ?=
# Inits for boot: BOOT='runit s6'
BOOT ?=
# Words for the endurance program: STRESS='--seconds 600 --seed 7', or --update-time
STRESS ?=
# Options of cargo mutants: MUTANTS='--shard 0/20'
MUTANTS ?=
CARGO_TARGET_DIR ?= target
# The release before this one: the commit whose daemon and home are taken over. A new release moves it.
BEFORE = 0a8ff5f98eb2ea95bccfb2a74dc8ddc134670e32

BIN = $(CARGO_TARGET_DIR)/release
# The most that each program may have, in bytes: the daemon is to be small; the client has a screen and a web page in it.
SIZE_rpmd = 1966080
SIZE_rpm = 2359296

TO = $(DESTDIR)$(PREFIX)
CLIENT_FILES = '$(TO)/share/man/man1/$(CLIENT).1' \
	'$(TO)/share/bash-completion/completions/$(CLIENT)' \
	'$(TO)/share/zsh/site-functions/_$(CLIENT)' \
	'$(TO)/share/fish/vendor_completions.d/$(CLIENT).fish' \
	'$(TO)/bin/$(CLIENT)'

SCRIPTS = .ci/run $$(find . \( -path ./target -o -path ./.git \) -prune -o -name '*.sh' -print)

# Shell functions for the recipes.
# need TOOL: ends the recipe without the tool, and fails it when nothing may be skipped.
NEED = need() { command -v "$$1" >/dev/null || \
	{ echo "skipped: $$1 is not installed"; [ "$${RPM_TEST_ALL:-}" != 1 ]; exit; }; }
# ours FILE: is it our client, not another program of that name? Ours speaks of rpmd.
OURS = ours() { "$$1" help </dev/null 2>/dev/null | grep -qw rpmd; }

## build both programs (the default)
all:
	cargo build --release --locked

## format, lints, manual pages, shell scripts
check: all
	cargo fmt --check
	cargo clippy --all-targets --locked -- -D warnings
	@$(NEED); need mandoc; set -e; for page in rpm rpmd rpm-protocol; do \
		echo "mandoc -T lint: $$page"; \
		'$(BIN)/rpm' help --man $$page | mandoc -T lint -W warning; \
	done
	for script in $(SCRIPTS); do sh -n "$$script" || exit; done
	@$(NEED); need shellcheck; echo shellcheck; shellcheck $(SCRIPTS)

## run all tests
test:
	cargo test --locked

## boot a container with each init, kill daemons, reboot, power off; BOOT='runit s6' chooses
boot: all
	@$(NEED); need debootstrap; need systemd-nspawn; need nsenter; \
	[ "$$(id -u)" = 0 ] || { echo 'skipped: only root can boot machines'; [ "$${RPM_TEST_ALL:-}" != 1 ]; exit; }; \
	sh tests/boot/boot.sh $(BOOT)

## kill a daemon and a program, and watch them recover; ten seconds
demo: all
	@RPM_BIN_DIR='$(BIN)' sh tests/demo/demo.sh

## measure speed and memory; BENCH='restart --quick' chooses
bench: all
	RPM_BIN_DIR="$${RPM_BIN_DIR:-$(BIN)}" cargo bench --locked --bench bench -- $(BENCH)

## kill the daemons at every system call, make calls fail, run random chaos; STRESS='--seconds 600 --seed 7'
stress:
	RPM_TEST_EVERY=1 cargo test --locked --test integration kill_points
	RPM_TEST_EVERY=1 cargo test --locked --test integration lookups
	RPM_TEST_EVERY=1 cargo test --locked --test integration members::
	cargo bench --locked --bench stress -- $(STRESS)

# Skipped without that commit even under RPM_TEST_ALL=1: a shallow clone or an archive is complete without its history.
## take over the running daemon and the home of the release before
migration:
	@git cat-file -e '$(BEFORE)^{commit}' 2>/dev/null || { \
		echo 'skipped: this clone does not have commit $(BEFORE)'; exit; }; \
	set -e; mkdir -p '$(CARGO_TARGET_DIR)/before'; before=$$(cd '$(CARGO_TARGET_DIR)/before' && pwd); \
	if [ ! -d "$$before/$(BEFORE)" ]; then \
		rm -rf "$$before/new"; mkdir "$$before/new"; \
		git archive '$(BEFORE)' | tar -x -C "$$before/new"; \
		mv "$$before/new" "$$before/$(BEFORE)"; \
	fi; \
	(cd "$$before/$(BEFORE)" && CARGO_TARGET_DIR="$$before/build" cargo build --locked); \
	RPM_TEST_BEFORE="$$before/build/debug" cargo test --locked --test integration migration::

## mutate model, protocol and the supervisor's logic, and report what unit tests miss; MUTANTS='--shard 0/20' samples
mutants:
	@$(NEED); need cargo-mutants; \
	cargo mutants --timeout 120 --file 'src/model/**/*.rs' --file 'src/protocol/**/*.rs' \
		--file 'src/supervisor/program/*.rs' --file 'src/supervisor/control/*.rs' \
		--file 'src/supervisor/daemon/shutdown.rs' $(MUTANTS) -- --lib

## print the bytes of each program, and fail above the limit
size: all
	@set -e; for limit in rpmd=$(SIZE_rpmd) rpm=$(SIZE_rpm); do \
		program=$${limit%=*} limit=$${limit#*=}; \
		bytes=$$(wc -c <'$(BIN)'/$$program); \
		printf '%-4s %8d bytes, limit %d\n' $$program "$$bytes" "$$limit"; \
		[ "$$bytes" -le "$$limit" ]; \
	done

# Built only where they are missing: `sudo make install` after `make` neither needs cargo nor leaves files of
# root in the build folder.
$(BIN)/rpm $(BIN)/rpmd:
	cargo build --release --locked

## install into PREFIX (/usr/local), below DESTDIR; CLIENT=rpmctl names the client
install: $(BIN)/rpm $(BIN)/rpmd
	@# Nothing is copied before it is certain that nobody else's rpm is replaced or shadowed. Below a DESTDIR
	@# what this machine has matters less: the package will be installed on another.
	@$(OURS); other='/usr/bin/$(CLIENT)'; \
	if [ -z '$(DESTDIR)' ]; then \
		set -- "$$(command -v '$(CLIENT)')" "$$other" '/bin/$(CLIENT)'; \
	elif [ -e "$$other" ] && ! ours "$$other"; then \
		echo "warning: $$other is another program here; this package would clash with it." >&2; \
	fi; \
	ours '$(TO)/bin/$(CLIENT)' || set -- "$$@" $(CLIENT_FILES); \
	for file; do \
		[ ! -e "$$file" ] || ours "$$file" || { \
			echo "Not installed: $$file is there already, and it is not ours." \
				"Give the client another name: make install CLIENT=rpmctl" >&2; \
			exit 1; }; \
	done
	install -d '$(TO)/bin'
	install -m 755 '$(BIN)/rpmd' '$(TO)/bin/rpmd'
	install -m 755 '$(BIN)/rpm' '$(TO)/bin/$(CLIENT)'
	@# The texts are asked of the client under its name-to-be, for completions name the command they complete.
	@set -e; stage=$$(mktemp -d); trap 'rm -rf "$$stage"' EXIT; \
	ln -s "$$(cd '$(BIN)' && pwd)/rpm" "$$stage/$(CLIENT)"; \
	put() { file=$$1; shift; \
		echo "$(CLIENT) $$* > $$file"; \
		"$$stage/$(CLIENT)" "$$@" >"$$stage/text" </dev/null; \
		install -d "$${file%/*}"; \
		install -m 644 "$$stage/text" "$$file"; }; \
	put '$(TO)/share/man/man1/$(CLIENT).1' help --man rpm; \
	put '$(TO)/share/man/man7/rpm-protocol.7' help --man rpm-protocol; \
	put '$(TO)/share/man/man8/rpmd.8' help --man rpmd; \
	put '$(TO)/share/bash-completion/completions/$(CLIENT)' completion bash; \
	put '$(TO)/share/zsh/site-functions/_$(CLIENT)' completion zsh; \
	put '$(TO)/share/fish/vendor_completions.d/$(CLIENT).fish' completion fish

## remove what install installed, with the same PREFIX, DESTDIR and CLIENT
uninstall:
	@$(OURS); client='$(TO)/bin/$(CLIENT)'; \
	[ -e "$$client" ] || { echo "Nothing to remove: there is no $$client."; exit 0; }; \
	ours "$$client" || { echo "Not removed: $$client is not ours." >&2; exit 1; }; \
	set -x; rm -f '$(TO)/bin/rpmd' '$(TO)/share/man/man7/rpm-protocol.7' '$(TO)/share/man/man8/rpmd.8' $(CLIENT_FILES)

## remove everything that was built
clean:
	cargo clean

## print this list
help:
	@awk '/^## / { text = substr($$0, 4); next } \
		text { sub(/:.*/, ""); printf "make %-10s %s\n", $$0, text; text = "" }' Makefile

.PHONY: all check test boot demo bench stress migration mutants size install uninstall clean help
