# The specs, on one Lua and on all, under sanitizers, with other pollers and libcurls.

# The engine's leaves as a Lua module, for the specs alone.
$(OUT)/engine.so: spec/support/engine.c $(OBJECTS) $(EXTRA)
	$(COMPILE) $(LIBFLAG) $(LDFLAGS) -o $@ $< \
		$(ENGINE:src/%.c=$(OUT)/%.o) $(OUT)/binding/check.o $(EXTRA) $(LIBS)

# fork(2) and signals, and a failing disk, for the specs alone; preloaded by some, so
# never sanitized.
$(OUT)/fork.so $(OUT)/disk.so: $(OUT)/%.so: spec/support/%.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $<

# Clocks that can be moved; the same.
$(OUT)/shift.so: spec/support/shift.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $<

# libcurl without memory; the same.
$(OUT)/scarce.so: spec/support/scarce.c
	@mkdir -p $(@D)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $< $(LIBCURL)

# Spec files by name, whatever their folder.
specs = $(foreach name,$1,$(wildcard spec/*/$(name)_spec.lua))

# Sets LUA_PATH and LUA_CPATH for one Lua: these folders, its own, the user's.
paths = . spec/support/paths.sh && use_paths $(LUA_ABI) '$1' '$2'

# The specs on one Lua: make spec LUA=5.1 SPEC=spec/client/retry_spec.lua
# UQPAY_WRAP stands before the interpreter: a sanitizer's preload, valgrind.
SPEC ?= spec
spec: export UQPAY_LUA = $(CURDIR)/spec/support/lua.sh
spec: export UQPAY_LUA_BIN = $(LUA_BIN)
spec: export UQPAY_OUT = $(OUT)
spec: all cjson $(OUT)/engine.so $(OUT)/fork.so $(OUT)/disk.so $(OUT)/shift.so \
		$(OUT)/scarce.so
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

# Some specs with the pollers of other systems, on one Lua: poll(2), and kqueue as
# spec/support/kqueue plays it, a new and an old one.
pollers:
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

# Some specs on one Lua with Debian's other libcurl, on GnuTLS.
gnutls:
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

# The README's commands in chroots of Debian's suites; 30 minutes. See spec/matrix/matrix.sh
# for MIRROR, FRESH, SKIP and LIMIT.
SUITES ?= trixie sid bookworm:i386
matrix:
	@LUAS='$(if $(filter command,$(origin LUAS)),$(LUAS))' \
		sh spec/matrix/matrix.sh $(SUITES)

# All specs under the address and undefined behaviour sanitizers, with leaks counted. They
# work more than they wait: a Lua for each processor, or deadlines would be missed.
asan:
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
asan-spec: build/unpreload.so
	@$(MAKE) --no-print-directory spec $(ASAN)

build/unpreload.so: spec/support/unpreload.c
	@mkdir -p build
	$(CC) $(STD) $(WARN) -shared -o $@ $<

# The specs under valgrind's memcheck, on one Lua; minutes.
valgrind: export UQPAY_WRAP = valgrind -q --error-exitcode=42 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--suppressions=$(CURDIR)/spec/support/valgrind.supp
valgrind:
	@MAKE='$(MAKE)' sh spec/support/check.sh 'spec LUA=$(LUA)'
