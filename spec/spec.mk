# The specs: on one Lua, under sanitizers, with other pollers and libcurls.

# The engine as a Lua module, for the specs only.
DRIVER = $(wildcard spec/support/engine/*.c)
$(OUT)/engine.so: $(DRIVER) spec/support/engine/driver.h $(OBJECTS) $(EXTRA)
	$(COMPILE) $(LIBFLAG) $(LDFLAGS) -o $@ $(DRIVER) $(ENGINE:src/%.c=$(OUT)/%.o) \
		$(EXTRA) $(LIBS)

# Faults for the specs: fork(2) and signals, a failing disk, clocks that are set, libcurl
# without memory. Some specs preload them, so they are never sanitized.
FAULTS = $(foreach name,fork disk shift scarce,$(OUT)/$(name).so)
$(FAULTS): $(OUT)/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $< $(FAULT_LIBS)
$(OUT)/scarce.so: FAULT_LIBS = $(LIBCURL)

# Spec files by name, from any folder.
specs = $(foreach name,$1,$(wildcard spec/*/$(name)_spec.lua))

# Sets LUA_PATH and LUA_CPATH for one Lua: these folders, its own, the user's.
paths = . spec/support/paths.sh && use_paths $(LUA_ABI) '$1' '$2'

# UQPAY_WRAP is a prefix of the interpreter's command: a preload, valgrind.
SPEC ?= spec
spec: export UQPAY_LUA = $(CURDIR)/spec/support/lua.sh
spec: export UQPAY_LUA_BIN = $(LUA_BIN)
spec: export UQPAY_OUT = $(OUT)
spec: all cjson $(OUT)/engine.so $(FAULTS) ## specs on one Lua: LUA=5.1 SPEC=spec/client/retry_spec.lua
	@$(call paths,src/?.lua) && BUSTED='$(BUSTED)' sh spec/support/busted.sh \
		--cpath='$(OUT)/?.so' --lpath='./?.lua' -o plainTerminal $(SPEC)

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
	@$(MAKE) --no-print-directory spec LUA=jit LUA_BIN=lua5.1 VARIANT=-in-5.1 \
		SPEC='$(EXCHANGED_SPECS)'

spec-5.1-in-jit:
	@$(MAKE) --no-print-directory spec LUA=5.1 LUA_BIN=luajit VARIANT=-in-jit \
		SPEC='$(EXCHANGED_SPECS)'

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

# The sanitized specs work more than they wait: a Lua for each processor at a time.
asan: ## all specs on all Luas under the address and undefined behaviour sanitizers
	@UQPAY_CHECK_JOBS=$$(nproc) MAKE='$(MAKE)' sh spec/support/check.sh \
		$(AVAILABLE:%='asan-spec LUA=%')

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

.PHONY: spec cjson spec-jit-in-5.1 spec-5.1-in-jit pollers spec-poll spec-kqueue \
	spec-kqueue-old gnutls spec-gnutls matrix asan asan-spec valgrind
