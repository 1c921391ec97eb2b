# lua-uqpay: see README.md. Every variable can be given on the command line.
#
#   make [LUA=5.1|5.2|5.3|5.4|5.5|jit]   builds build/LUA/uqpay.so
#   make deps demo                       from nothing to a balance
#   make deps demo-openresty             the same inside nginx
#   make dev-deps check                  from nothing to all specs on all Luas

LUA ?= 5.4
LUAS = 5.1 5.2 5.3 5.4 5.5 jit
# The Luas that the specs can run on here, looked up once; a list on the command line is
# taken as it is.
AVAILABLE = $(eval AVAILABLE := $(if $(filter command,$(origin LUAS)),$(LUAS),$(shell \
	MAKE='$(MAKE)' sh spec/support/luas.sh $(LUAS))))$(AVAILABLE)

CC ?= cc
CFLAGS ?= -O2 -g
LIBFLAG ?= -shared
INSTALL ?= install
BUSTED ?= busted

# What differs by Lua: the interpreter, the headers, the ABI's name in paths.
ifeq ($(LUA),jit)
LUA_ABI = 5.1
LUA_BIN ?= luajit
LUA_INCDIR ?= $(firstword $(wildcard /usr/include/luajit-2.1 \
	/usr/local/include/luajit-2.1) /usr/include/luajit-2.1)
else
LUA_ABI = $(LUA)
LUA_BIN ?= lua$(LUA)
LUA_INCDIR ?= $(firstword $(wildcard /usr/include/lua$(LUA) \
	/usr/local/include/lua$(LUA)) /usr/include)
endif

PREFIX ?= /usr/local
LUA_CMOD ?= $(PREFIX)/lib/lua/$(LUA_ABI)
LUA_LMOD ?= $(PREFIX)/share/lua/$(LUA_ABI)

# A variant (asan) builds beside the plain module, some with objects of their own.
VARIANT ?=
EXTRA ?=
OUT = build/$(LUA)$(VARIANT)

BINDING = uqpay auxlib compat internal client call attempt reclaim hook token login share \
	filestore endpoint query options answer error json values
ENGINE = transport handle trust liveness idle activity latency received outcome process \
	address poller epoll kqueue poll clock schedule pace retry store filelock \
	private redact quote flat amount decimal currency moment uuid check buf
SOURCES = $(patsubst %,src/%.c,$(BINDING) $(ENGINE))
OBJECTS = $(patsubst src/%.c,$(OUT)/%.o,$(SOURCES))
MODULE = $(OUT)/uqpay.so

STD = -std=c99 -fPIC
WARN = -Wall -Wextra -Wpedantic
LIBCURL ?= -lcurl
LIBS ?= $(LIBCURL) -lpthread -lm

.PHONY: all deps dev-deps bench-deps demo demo-openresty sandbox check spec cjson \
	spec-jit-in-5.1 spec-5.1-in-jit pollers spec-poll spec-kqueue spec-kqueue-old gnutls \
	spec-gnutls matrix asan asan-spec valgrind bench bench-openresty torture \
	torture-quick torture-memory torture-memory-run \
	torture-fuzz torture-fuzz-run torture-soak torture-threads torture-locale \
	locale-spec torture-gc gc-spec torture-random torture-random-run \
	torture-secrets torture-freed torture-nginx torture-nginx-run lint print-incdir \
	install uninstall clean

all: $(MODULE)

$(MODULE): $(OBJECTS) $(EXTRA)
	$(CC) $(LIBFLAG) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(EXTRA) $(LIBS)

$(OUT)/%.o: src/%.c | $(OUT)
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -I$(LUA_INCDIR) -MMD -MP -c -o $@ $<

$(OUT):
	mkdir -p $@

# The engine's leaves as a Lua module, for the specs alone.
$(OUT)/engine.so: spec/support/engine.c $(OBJECTS) $(EXTRA)
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -I$(LUA_INCDIR) -Isrc \
		$(LIBFLAG) $(LDFLAGS) -o $@ $< \
		$(patsubst %,$(OUT)/%.o,$(ENGINE)) $(EXTRA) $(LIBS)

# fork(2) and signals, and a failing disk, for the specs alone; preloaded by some, so
# never sanitized.
$(OUT)/fork.so $(OUT)/disk.so: $(OUT)/%.so: spec/support/%.c | $(OUT)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $<

# Clocks that can be moved; the same.
$(OUT)/shift.so: spec/support/shift.c | $(OUT)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $<

# libcurl without memory; the same.
$(OUT)/scarce.so: spec/support/scarce.c | $(OUT)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $< $(LIBCURL)

-include $(OBJECTS:.o=.d)

deps:
	@sh spec/support/deps.sh deps

dev-deps:
	@sh spec/support/deps.sh dev-deps

bench-deps:
	@sh spec/support/deps.sh bench-deps

demo: all
	LUA_BIN=$(LUA_BIN) LUA_ABI=$(LUA_ABI) sh spec/support/demo.sh $(OUT)

# examples/nginx.conf against a sandbox, and a balance by curl. WAIT=1 keeps both running.
WAIT ?=
demo-openresty: export WAIT := $(WAIT)
demo-openresty:
	@$(MAKE) --no-print-directory all LUA=jit
	@sh spec/support/demo_openresty.sh build/jit

sandbox:
	@sh spec/support/sandbox.sh run

# Sets LUA_PATH and LUA_CPATH for one Lua: these folders, its own, the user's.
paths = . spec/support/paths.sh && use_paths $(LUA_ABI) '$1' '$2'

# The specs on one Lua: make spec LUA=5.1 SPEC=spec/retry_spec.lua
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

# All specs on all Luas; those in which the Lua makes no difference run on two of them.
check:
	@MAKE='$(MAKE)' sh spec/support/check.sh $(AVAILABLE:%='spec LUA=%') $(EXCHANGED)

# Lua 5.1 and LuaJIT share lib/lua/5.1: the module built for one runs in the other.
EXCHANGED = $(if $(filter 5.1,$(AVAILABLE)),$(if $(filter jit,$(AVAILABLE)),\
	spec-jit-in-5.1 spec-5.1-in-jit))
EXCHANGED_SPECS = $(patsubst %,spec/%_spec.lua,balance batch call errors exact loops \
	nginx options pages process share) $(wildcard spec/regress/23?-*.lua)
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

POLLER_SPECS = $(patsubst %,spec/%_spec.lua,poller balance transport errors retry \
	process descriptors)
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
		SPEC=spec/poller_spec.lua

build/kqueue.o build/kqueue-old.o: spec/support/kqueue/kqueue.c \
		spec/support/kqueue/sys/event.h
	@mkdir -p build
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Some specs on one Lua with Debian's other libcurl, on GnuTLS.
gnutls:
	@sh spec/matrix/gnutls.sh build/gnutls
	@MAKE='$(MAKE)' sh spec/support/check.sh spec-gnutls

GNUTLS_SPECS = $(patsubst %,spec/%_spec.lua,transport http2 errors retry balance) \
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

# This client against bare libcurl and what else there is, into the README's table;
# minutes. LONG=1 makes a million calls to see that memory stays flat.
LONG ?=
bench: export LONG := $(LONG)
bench: build/bench/bare build/bench/meter
	@$(MAKE) --no-print-directory all LUA=5.4
	@$(MAKE) --no-print-directory all LUA=jit
	@sh spec/bench/bench.sh

# What resty.uqpay does to an nginx worker; some minutes.
bench-openresty: build/bench/slow_dns.so
	@$(MAKE) --no-print-directory all LUA=jit
	@sh spec/bench/nginx.sh

build/bench/%.so: spec/bench/%.c
	@mkdir -p build/bench
	$(CC) $(STD) $(WARN) $(CFLAGS) -shared -o $@ $<

build/bench/%: spec/bench/%.c
	@mkdir -p build/bench
	$(CC) $(STD) $(WARN) $(CFLAGS) -o $@ $< -lcurl

# Torture (spec/torture): each kind has a quick form, of seconds, and a long one, LONG=1.
# 48 minutes at most (the seconds add up to 2,880) for the long forms, but the last two,
# whose long form is all specs once more, take the quick one; and all the quick ones, as CI
# does.
LONG_TORTURES = memory:540 fuzz:780 soak:120 threads:60 random:180 nginx:900 \
	secrets:180
SHORT_TORTURES = locale:60 gc:60
torture:
	@MAKE='$(MAKE)' sh spec/torture/torture.sh LONG=1 $(LONG_TORTURES) LONG= \
		$(SHORT_TORTURES)

torture-quick:
	@MAKE='$(MAKE)' sh spec/torture/torture.sh memory:300 fuzz:300 soak:120 threads:60 \
		random:180 nginx:120 secrets:450 locale:180 gc:240

# The totals of so many runs.
TOTALS = awk '{ print } /^[0-9]+ passed, / { runs++; passed += $$1; failed += $$3 } \
	END { failed += runs < $1; print passed + 0 " passed, " failed " failed"; \
	exit failed > 0 }'

# Out of memory at every allocation. The module's objects, in the driver, get their
# memory from it.
TORTURED = $(foreach f,malloc calloc realloc strdup free,-D$f=module_$f)
torture-memory:
	@mkdir -p build; for lua in 5.4 jit; do $(MAKE) --no-print-directory \
		torture-memory-run LUA=$$lua VARIANT='-torture$(VARIANT)' \
		CPPFLAGS='$(CPPFLAGS) $(TORTURED)' > build/memory-$$lua.log 2>&1 & done; wait; \
		cat build/memory-5.4.log build/memory-jit.log | $(call TOTALS,2)

torture-memory-run: $(OUT)/memory cjson
	@echo "== out of memory on $(LUA_BIN)"
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && \
		$(LUA_BIN) spec/torture/beside.lua $(OUT)/memory $(if $(LONG),,-q) $(CASES)

TORTURE_LIBS = $(if $(filter jit,$(LUA)),-lluajit-5.1,-llua$(LUA)) -ldl $(LIBS)
$(OUT)/memory: spec/torture/memory.c spec/torture/server.c spec/torture/server.h \
		spec/torture/state.h $(OBJECTS)
	$(CC) -std=c99 $(WARN) $(CFLAGS) -I$(LUA_INCDIR) -o $@ $(filter %.c,$^) \
		$(OBJECTS) $(TORTURE_LIBS)

# Secrets: where they are left in memory, with the module's objects in the driver again;
# and the specs with every hook on, where nothing that comes out may have one. The long
# form takes all specs but those that are upset by whatever else allocates.
UPSET = spec/regress/031-% spec/regress/062-%
WATCHED = $(patsubst %,spec/%_spec.lua,balance errors login options retry share \
	store token) $(filter-out $(UPSET),$(wildcard spec/regress/*.lua))
WATCHED_ALL = $(filter-out $(UPSET),$(wildcard spec/*_spec.lua spec/regress/*.lua))
torture-secrets:
	@{ for lua in 5.4 jit; do $(MAKE) --no-print-directory torture-freed LUA=$$lua \
		VARIANT='-torture$(VARIANT)' CPPFLAGS='$(CPPFLAGS) $(TORTURED)'; done; \
		echo "== secrets in what comes out, on Lua $(LUA)"; \
		sh spec/torture/outputs.sh $(MAKE) --no-print-directory spec LUA=$(LUA) \
		SPEC='$(if $(LONG),$(WATCHED_ALL),$(WATCHED))'; } 2>&1 | $(call TOTALS,3)

torture-freed: $(OUT)/freed cjson
	@echo "== secrets in memory on $(LUA_BIN)"
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && \
		$(LUA_BIN) spec/torture/freed.lua $(OUT)/freed

$(OUT)/freed: spec/torture/freed.c spec/torture/state.h $(OBJECTS)
	$(CC) -std=c99 $(WARN) $(CFLAGS) -I$(LUA_INCDIR) -o $@ $< $(OBJECTS) \
		$(TORTURE_LIBS)

# Fuzzing: libFuzzer, a target for each file of spec/torture/fuzz, the slow ones first, on
# Lua 5.4.
FUZZ_TARGETS = option answer error redact flat number quote header time
torture-fuzz:
	@$(MAKE) --no-print-directory torture-fuzz-run LUA=5.4 VARIANT=-fuzz CC=clang \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=undefined -fprofile-instr-generate -fcoverage-mapping'

torture-fuzz-run: $(FUZZ_TARGETS:%=$(OUT)/fuzz-%)
	@sh spec/torture/fuzz.sh $(OUT) $(if $(LONG),1000000,20000) $(FUZZ_TARGETS)

$(OUT)/fuzz-%: spec/torture/fuzz/%.c $(wildcard spec/torture/fuzz/*.h) $(OBJECTS)
	$(CC) -std=c99 -D_GNU_SOURCE $(WARN) $(CFLAGS) -fsanitize=fuzzer -I$(LUA_INCDIR) \
		-Isrc -o $@ $< $(OBJECTS) -llua$(LUA) -ldl $(LIBS)

# The soak: so many balances over HTTP/1.1 and as many over HTTP/2, one in twenty with a
# fault.
SOAK ?= $(if $(LONG),100000,15000)
torture-soak: all cjson
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && UQPAY_OUT=$(OUT) \
		$(LUA_BIN) spec/torture/soak.lua $(SOAK)

# 32 threads with a Lua state each, under the thread sanitizer.
torture-threads:
	@mkdir -p build
	@$(MAKE) --no-print-directory all VARIANT=-tsan CC=gcc \
		CFLAGS='-O1 -g -fsanitize=thread' > build/tsan.log || { cat build/tsan.log; exit 1; }
	@gcc $(STD) $(WARN) -O1 -g -fsanitize=thread -I$(LUA_INCDIR) \
		-o $(OUT)-tsan/threads spec/torture/threads.c -llua$(LUA) -lpthread
	@$(call paths,src/?.lua;./?.lua,$(OUT)-tsan/?.so) && UQPAY_OUT=$(OUT)-tsan \
		TSAN_OPTIONS='exitcode=66 suppressions=spec/torture/tsan.supp' \
		$(LUA_BIN) spec/torture/threads.lua $(OUT)-tsan/threads 32 $(if $(LONG),20,4)

# Specs in interpreters whose locale is German, by LUA_INIT: the busted process and all its
# children. The messages of programs stay English. LONG=1: all specs, and C's locale, too.
LOCALE_SPECS = amount balance clock engine_retry errors exact family locale numbers \
	options pace quote retry time token
torture-locale: build/locale/log
	@MAKE='$(MAKE)' sh spec/support/check.sh $(foreach locale,de_DE $(if $(LONG),C),\
		$(foreach lua,5.4 jit,'locale-spec LUA=$(lua) LOCALE=$(locale)'))

locale-spec: export LOCPATH = $(CURDIR)/build/locale
locale-spec: export LC_ALL = $(LOCALE)
locale-spec: export LANGUAGE = en
locale-spec: export LUA_INIT = assert(os.setlocale "$(LOCALE)")
locale-spec: SPEC = $(if $(LONG),spec,$(LOCALE_SPECS:%=spec/%_spec.lua))
locale-spec:
	@$(MAKE) --no-print-directory spec SPEC='$(SPEC)'

# Specs with the collector at its most eager, in the busted process and all its children;
# in several processes, since each collection goes through all that busted keeps. LONG=1:
# all specs.
GC_SPECS = balance call family process share
torture-gc:
	@MAKE='$(MAKE)' sh spec/support/check.sh 'gc-spec LUA=5.4' 'gc-spec LUA=jit'

gc-spec: export LUA_INIT = @$(CURDIR)/spec/torture/gc.lua
gc-spec: SPEC = $(if $(LONG),$(wildcard spec/*_spec.lua) spec/regress,\
	$(GC_SPECS:%=spec/%_spec.lua))
gc-spec:
	@printf '%s\n' $(SPEC) | xargs -n 8 sh -c \
		'$(MAKE) --no-print-directory spec SPEC="$$*"' sh

# Random operations on random clients, within hooks, token stores, finalizers and all else
# that runs a program's code, under the same sanitizers: 150 seeds, LONG=1: 600. SEED=N
# RANDOM_LUAS=jit repeats one.
SEED ?=
RANDOM_LUAS ?= 5.1 5.4 jit
torture-random: build/unpreload.so
	@mkdir -p build; for lua in $(RANDOM_LUAS); do $(MAKE) --no-print-directory \
		torture-random-run LUA=$$lua $(ASAN) > build/random-$$lua.log 2>&1 & done; wait; \
		cat $(RANDOM_LUAS:%=build/random-%.log) | $(call TOTALS,$(words $(RANDOM_LUAS)))

torture-random-run: export UQPAY_LUA = $(CURDIR)/spec/support/lua.sh
torture-random-run: export UQPAY_LUA_BIN = $(LUA_BIN)
torture-random-run: export UQPAY_RANDOM_LUA = $(LUA)
torture-random-run: export UQPAY_SEED = $(SEED)
torture-random-run: all cjson $(OUT)/fork.so
	@echo "== random operations on $(LUA_BIN)"
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && \
		$(LUA_BIN) spec/torture/random.lua $(if $(SEED),1,$(if $(LONG),200,50))

# nginx whose clients reset and close, whose workers are killed and whose upstream fails:
# so many requests for each number of workers. SEED=N repeats the choices.
NGINX_WORKERS ?= $(if $(LONG),4,4 2 1)
NGINX_REQUESTS ?= $(if $(LONG),200000,2000)
torture-nginx:
	@$(MAKE) --no-print-directory torture-nginx-run LUA=jit

torture-nginx-run: export UQPAY_SEED = $(SEED)
torture-nginx-run: all cjson
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && UQPAY_OUT=$(OUT) \
		$(LUA_BIN) spec/torture/nginx.lua $(NGINX_REQUESTS) $(NGINX_WORKERS)

build/locale/log: spec/support/locales.sh
	@sh $< build/locale

C_FILES = $(wildcard src/*.c src/*.h spec/support/*.c spec/bench/*.c \
	spec/support/kqueue/*.c spec/support/kqueue/sys/*.h spec/torture/*.[ch] \
	spec/torture/fuzz/*.[ch])
POLLERS = $(patsubst %,src/%.c,poller epoll kqueue poll)
lint:
	@for cc in gcc clang; do for lua in $(LINT_INCDIRS); do dir=$${lua#*:}; \
		[ -f $$dir/lua.h ] || { echo "not checked: Lua $${lua%%:*} has no headers here"; \
		continue; }; \
		echo "$$cc -Werror with $$dir"; for file in $(SOURCES); do \
		$$cc $(STD) $(WARN) -Werror -I$$dir -fsyntax-only $$file || exit 1; \
		done; done; done
	@for cc in gcc clang; do for system in -DUQ_POLLER_POLL '$(KQUEUE)' \
		'$(KQUEUE) -DKQUEUE_OLD'; do echo "$$cc -Werror with $$system"; \
		$$cc $(STD) $(WARN) -Werror $$system -fsyntax-only $(POLLERS) || exit 1; \
		done; $$cc $(STD) $(WARN) -Werror $(KQUEUE) -fsyntax-only \
		spec/support/kqueue/kqueue.c || exit 1; done
	clang-tidy --quiet $(SOURCES) -- $(STD) -I$(LUA_INCDIR) 2> /dev/null
	clang-tidy --quiet src/poll.c -- $(STD) -DUQ_POLLER_POLL 2> /dev/null
	clang-tidy --quiet src/kqueue.c -- $(STD) $(KQUEUE) 2> /dev/null
	clang-format --dry-run -Werror $(C_FILES)
	@! grep -nE '^ ?\*[a-zA-Z]' $(C_FILES) || { echo "torn by clang-format"; exit 1; }
	luacheck --quiet src spec examples rockspec/*.rockspec
	for file in rockspec/*.rockspec; do luarocks lint $$file || exit 1; done
	for file in spec/support/*.sh spec/bench/*.sh spec/torture/*.sh \
		spec/matrix/*.sh .ci/run; do \
		sh -n $$file || exit 1; done
	sh spec/support/layers.sh '$(BINDING)' '$(ENGINE)' $(LUA_INCDIR)
	$(MAKE) --no-print-directory all
	sh spec/support/symbols.sh $(MODULE)

LINT_INCDIRS = $(foreach lua,$(LUAS),$(lua):$(shell $(MAKE) -s --no-print-directory \
	LUA=$(lua) print-incdir))
print-incdir:
	@echo $(LUA_INCDIR)

install: all
	$(INSTALL) -d $(DESTDIR)$(LUA_CMOD) $(DESTDIR)$(LUA_LMOD)/uqpay/types/uqpay
	$(INSTALL) -m 755 $(MODULE) $(DESTDIR)$(LUA_CMOD)/uqpay.so
	$(INSTALL) -m 644 src/uqpay/*.lua $(DESTDIR)$(LUA_LMOD)/uqpay
	$(INSTALL) -d $(DESTDIR)$(LUA_LMOD)/resty/uqpay
	$(INSTALL) -m 644 src/resty/uqpay.lua $(DESTDIR)$(LUA_LMOD)/resty
	$(INSTALL) -m 644 src/resty/uqpay/*.lua $(DESTDIR)$(LUA_LMOD)/resty/uqpay
	$(INSTALL) -m 644 src/types/uqpay.lua $(DESTDIR)$(LUA_LMOD)/uqpay/types
	$(INSTALL) -m 644 src/types/uqpay/*.lua $(DESTDIR)$(LUA_LMOD)/uqpay/types/uqpay

uninstall:
	rm -f $(DESTDIR)$(LUA_CMOD)/uqpay.so
	rm -rf $(DESTDIR)$(LUA_LMOD)/uqpay $(DESTDIR)$(LUA_LMOD)/resty/uqpay.lua \
		$(DESTDIR)$(LUA_LMOD)/resty/uqpay

# `make matrix` leaves no mounts behind; one that was made by hand must not be emptied.
clean:
	@! grep -s ' $(CURDIR)/build/' /proc/mounts || { echo "clean: unmount it first"; exit 1; }
	rm -rf build
