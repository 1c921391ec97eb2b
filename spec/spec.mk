# The specs: on one Lua, under sanitizers, with other pollers and libcurls.

# The engine as a Lua module, for the specs only.
DRIVER = $(wildcard spec/support/engine/*.c)
$(OUT)/engine.so: $(DRIVER) spec/support/engine/driver.h $(OBJECTS) $(EXTRA)
	$(COMPILE_LUA) $(LIBFLAG) $(LDFLAGS) -o $@ $(DRIVER) $(ENGINE_OBJECTS) $(EXTRA) $(LIBS)

# Faults for the specs: fork(2) and signals, a failing disk, clocks that are set, libcurl
# without memory. Some specs preload them, so they are never sanitized.
FAULTS = $(foreach name,fork disk shift scarce,$(OUT)/$(name).so)
$(FAULTS): $(OUT)/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $< $(FAULT_LIBS)
$(OUT)/scarce.so: FAULT_LIBS = $(LIBCURL)

# Spec files by name, from any folder; those of spec/regress by number.
specs = $(foreach name,$1,$(wildcard spec/*/$(name)_spec.lua))
regress = $(foreach number,$1,$(wildcard spec/regress/$(number)-*_spec.lua))

# What is the same on every Lua: the engine, seen by its driver; connections, TLS and limits
# on the wire; the sandbox; the files of the project. `make check` and `make asan` run these
# on two Luas, 5.4 and LuaJIT, and on the others if neither is there. Everything else is
# about the binding: arguments, results, errors, memory, coroutines. Of that, what needs no
# server (fixture.any_sandbox) has one on the two Luas, and on the others the sandbox within
# the process. `make spec LUA=5.1` runs all specs with the server.
ANY_LUA = $(wildcard spec/engine/*_spec.lua spec/sandbox/*_spec.lua) \
	$(call specs,bench deps docs install rockspec http2 transport wire) \
	$(call regress,005 006 012 014 040 041 042 060 120 121 122 124 130 131 132 142 143 \
	144 190 191 192 193 201 202 203 210 211 212 213 220 221 222 223 240 241 243 250 251)
# Of these, what runs no code of the module in the interpreter runs on one of the two.
NO_LUA = $(filter-out %/same_answers_spec.lua,$(wildcard spec/sandbox/*_spec.lua)) \
	$(call specs,bench deps docs rockspec)
TWO_LUAS = $(filter 5.4 jit,$(AVAILABLE))
BINDING_ONLY = $(if $(TWO_LUAS),$(filter-out $(TWO_LUAS),$(AVAILABLE)))
check asan: export UQPAY_BINDING_ONLY = $(BINDING_ONLY)
check asan: export UQPAY_SECOND = $(word 2,$(TWO_LUAS))
LEFT_OUT = $(if $(filter $(LUA),$(UQPAY_BINDING_ONLY)),$(ANY_LUA),$\
	$(if $(filter $(LUA),$(UQPAY_SECOND)),$(NO_LUA)))
IN_PROCESS ?= $(filter $(LUA),$(UQPAY_BINDING_ONLY))

# Sets LUA_PATH and LUA_CPATH for one Lua: these folders, its own, the user's.
paths = . src/uqpay/testing/launcher/nginx.sh && . spec/support/paths.sh && \
	use_paths $(LUA_ABI) '$1' '$2'

# PART=2/6 is the second of six parts of SPEC, which have a process and a sandbox each. The
# files that take longest are dealt first. They wait: for timeouts, mostly.
SLOW = $(call regress,121 120 124) $(call specs,command wire) $(call regress,192) \
	$(call specs,loops rate_limiter install) $(call regress,193) \
	$(call specs,internal token_file) $(call regress,110 131 122 190 211) \
	$(call specs,call process batch login deps pages http2 across_accounts sandbox \
	token_store)
PART ?=
SPEC_FILES = $(foreach one,$(SPEC),$(if $(wildcard $(one)/.),\
	$(sort $(wildcard $(one)/*_spec.lua $(one)/*/*_spec.lua)),$(one)))
DEALT = $(filter $(SPEC_FILES),$(SLOW)) $(filter-out $(SLOW),$(SPEC_FILES))
PART_FILES = $(shell printf '%s\n' $(DEALT) | awk -v part=$(PART) '{ split(part, p, "/"); \
	place = (NR - 1) % (2 * p[2]); \
	if ((place < p[2] ? place : 2 * p[2] - 1 - place) == p[1] - 1) print }')
CHOSEN = $(if $(PART),$(PART_FILES),$(SPEC))

# UQPAY_WRAP is a prefix of the interpreter's command: a preload, valgrind.
SPEC ?= $(if $(strip $(LEFT_OUT)),$(filter-out $(LEFT_OUT),$(wildcard spec/*/*_spec.lua)),spec)
spec: export UQPAY_LUA = $(CURDIR)/spec/support/lua.sh
spec: export UQPAY_LUA_BIN = $(LUA_BIN)
spec: export UQPAY_OUT = $(OUT)
spec: export UQPAY_IN_PROCESS = $(IN_PROCESS)
spec: spec-built ## specs on one Lua: LUA=5.1 SPEC=spec/client/retry_spec.lua
	@chosen='$(strip $(CHOSEN))'; [ -n "$$chosen" ] || { echo "no specs"; exit; }; \
		$(call paths,src/?.lua) && BUSTED='$(BUSTED)' sh spec/support/busted.sh \
		--cpath='$(OUT)/?.so' --lpath='./?.lua' -o plainTerminal $$chosen

spec-built: all cjson $(OUT)/engine.so $(FAULTS)

# Several runs at a time begin with all that they use: they must not build the same files at
# once. The engine's objects come first. If a build fails, so does the run that needs it.
engine-objects: $(ENGINE_OBJECTS)
built-%: engine-objects
	@$(MAKE) --no-print-directory spec-built LUA=$*
build_first = $(MAKE) -k -j "$$(nproc)" --no-print-directory $(AVAILABLE:%=built-%)

# The runs of `make check`, the long ones first. Specs mostly wait: more than processors.
ON_TWO_LUAS = $(foreach part,1/6 2/6 3/6 4/6 5/6 6/6,$(foreach lua,$(filter-out \
	$(BINDING_ONLY),$(AVAILABLE)),'$1 LUA=$(lua) PART=$(part)'))
ON_OTHERS = $(foreach part,1/2 2/2,$(BINDING_ONLY:%='$1 LUA=% PART=$(part)'))
CHECK_JOBS ?= $$(($$(nproc) + 6))
check: ## all specs on all Luas that are installed, or LUAS="5.1 jit"
	@$(build_first) || true
	@UQPAY_CHECK_JOBS=$(CHECK_JOBS) MAKE='$(MAKE)' sh spec/support/check.sh \
		$(call ON_TWO_LUAS,spec) $(EXCHANGED) $(call ON_OTHERS,spec)

# lua-cjson for the specs, where this Lua has none, as Lua 5.5 on Debian.
cjson:
	@LUA_INIT= LUA_CPATH='$(OUT)/?.so;;' $(LUA_BIN) -e 'require "cjson"' 2> /dev/null || \
		sh spec/support/cjson.sh $(LUA_INCDIR) $(OUT)/cjson.so

# Lua 5.1 and LuaJIT share lib/lua/5.1: the module built for one runs in the other.
EXCHANGED = $(if $(filter 5.1,$(AVAILABLE)),$(if $(filter jit,$(AVAILABLE)),\
	spec-jit-in-5.1 spec-5.1-in-jit))
EXCHANGED_SPECS = $(call specs,balance batch call errors exact loops nginx options \
	pages process token_store) $(wildcard spec/regress/23?-*.lua)
spec-jit-in-5.1:
	@$(MAKE) --no-print-directory spec LUA=jit LUA_BIN=lua5.1 SPEC='$(EXCHANGED_SPECS)'

spec-5.1-in-jit:
	@$(MAKE) --no-print-directory spec LUA=5.1 LUA_BIN=luajit SPEC='$(EXCHANGED_SPECS)'

# kqueue is that of spec/support/kqueue, a new and an old one.
pollers: ## some specs on one Lua with the pollers of other systems: poll(2), kqueue
	@MAKE='$(MAKE)' sh spec/support/check.sh spec-poll spec-kqueue spec-kqueue-old

POLLER_SPECS = $(call specs,poller balance transport errors retry process descriptors)
KQUEUE = -DUQ_POLLER_KQUEUE -Ispec/support/kqueue
spec-poll:
	@UQPAY_POLLER=poll $(MAKE) --no-print-directory spec VARIANT=-poll \
		CPPFLAGS='$(CPPFLAGS) -DUQ_POLLER_POLL' SPEC='$(POLLER_SPECS)'

spec-kqueue:
	@UQPAY_POLLER=kqueue $(MAKE) --no-print-directory spec VARIANT=-kqueue \
		CPPFLAGS='$(CPPFLAGS) $(KQUEUE)' EXTRA=build/kqueue.o SPEC='$(POLLER_SPECS)'

spec-kqueue-old:
	@UQPAY_POLLER=kqueue-old $(MAKE) --no-print-directory spec VARIANT=-kqueue-old \
		CPPFLAGS='$(CPPFLAGS) $(KQUEUE) -DKQUEUE_OLD' EXTRA=build/kqueue-old.o \
		SPEC=spec/engine/poller_spec.lua

build/kqueue.o build/kqueue-old.o: spec/support/kqueue/kqueue.c \
		spec/support/kqueue/sys/event.h
	@mkdir -p build
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

gnutls: ## some specs on one Lua with Debian's libcurl for GnuTLS
	@sh spec/matrix/gnutls.sh build/gnutls
	@MAKE='$(MAKE)' sh spec/support/check.sh spec-gnutls

GNUTLS_SPECS = $(call specs,transport http2 errors retry balance) \
	spec/regress
GNUTLS = VARIANT=-gnutls CPPFLAGS='$(CPPFLAGS) -Ibuild/gnutls/include' \
	LIBCURL='-Lbuild/gnutls/lib -Wl,-rpath,$(CURDIR)/build/gnutls/lib -lcurl-gnutls'
spec-gnutls:
	@$(MAKE) --no-print-directory all $(GNUTLS)
	@LUA_CPATH='$(OUT)-gnutls/?.so;;' $(LUA_BIN) -e \
		'assert(require "uqpay".info().tls:find "GnuTLS", "this is not GnuTLS")'
	@$(MAKE) --no-print-directory spec $(GNUTLS) SPEC='$(GNUTLS_SPECS)'

# The README's commands in chroots of Debian's suites: deps demo demo-openresty, dev-deps
# check, on Debian 12 also gnutls. Needs root, and for each suite some minutes and 1.5 GB the
# first time. See spec/matrix/matrix.sh for MIRROR, FRESH, SKIP and LIMIT.
SUITES ?= trixie sid bookworm:i386
matrix: ## demos and specs in chroots, 30 minutes: SUITES="trixie sid bookworm:i386"
	@LUAS='$(if $(filter command,$(origin LUAS)),$(LUAS))' \
		sh spec/matrix/matrix.sh $(SUITES)

# The sanitized specs work more than they wait: a run for each processor at a time.
asan: ## the specs of `make check` under the address and undefined behaviour sanitizers
	@$(build_first) $(ASAN) || true
	@UQPAY_CHECK_JOBS=$$(nproc) MAKE='$(MAKE)' sh spec/support/check.sh \
		$(call ON_TWO_LUAS,asan-spec) $(call ON_OTHERS,asan-spec)

ASAN = VARIANT=-asan CC=gcc CFLAGS='-O1 -g -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer'
asan-spec torture-random: export UQPAY_WRAP = env LD_PRELOAD=$(shell gcc \
	-print-file-name=libasan.so):$(CURDIR)/build/unpreload.so
asan-spec torture-random: export ASAN_OPTIONS = detect_leaks=1:handle_abort=1
asan-spec torture-random: export UBSAN_OPTIONS = print_stacktrace=1
asan-spec torture-random: export LSAN_OPTIONS = print_suppressions=0:suppressions=$\
	$(CURDIR)/spec/support/lsan.supp
asan-spec: build/unpreload.so ## the same on one Lua, with LUA and SPEC
	@$(MAKE) --no-print-directory spec $(ASAN)

build/unpreload.so: spec/support/unpreload.c
	@mkdir -p build
	$(CC) $(STD) $(WARN) -shared -o $@ $<

valgrind: export UQPAY_WRAP = valgrind -q --error-exitcode=42 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--suppressions=$(CURDIR)/spec/support/valgrind.supp
valgrind: ## all specs on one Lua under valgrind; minutes
	@MAKE='$(MAKE)' sh spec/support/check.sh 'spec LUA=$(LUA)'

.PHONY: spec spec-built engine-objects check cjson spec-jit-in-5.1 spec-5.1-in-jit \
	pollers spec-poll spec-kqueue spec-kqueue-old gnutls spec-gnutls matrix asan \
	asan-spec valgrind
