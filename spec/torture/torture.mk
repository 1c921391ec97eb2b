# Torture: each kind has a quick form, of seconds, and a long one, LONG=1. The limits in
# seconds below add up to 48 minutes. The last two stay quick: their long form is all specs
# once more.
LONG_TORTURES = memory:540 fuzz:780 soak:120 threads:60 random:180 nginx:900 \
	secrets:180
SHORT_TORTURES = locale:60 gc:60
torture: ## all of the next ones in their long form, 45 minutes
	@MAKE='$(MAKE)' sh spec/torture/torture.sh LONG=1 $(LONG_TORTURES) LONG= \
		$(SHORT_TORTURES)

torture-quick: ## the same in their quick form, as CI does; minutes
	@MAKE='$(MAKE)' sh spec/torture/torture.sh memory:300 fuzz:300 soak:120 threads:60 \
		random:180 nginx:120 secrets:450 locale:180 gc:240

# The totals of so many runs.
TOTALS = awk '{ print } /^[0-9]+ passed, / { runs++; passed += $$1; failed += $$3 } \
	END { failed += runs < $1; print passed + 0 " passed, " failed " failed"; \
	exit failed > 0 }'

# Out of memory: Lua's allocator, libcurl's and the module's, which is linked to the driver
# for that. The quick form makes each eleventh allocation fail.
TORTURED = $(foreach f,malloc calloc realloc strdup free,-D$f=module_$f)
torture-memory: ## each allocation fails in turn. LONG=1: the long form of it, as of the next ones
	@mkdir -p build
	@$(MAKE) --no-print-directory engine-objects VARIANT='-torture$(VARIANT)' \
		CPPFLAGS='$(CPPFLAGS) $(TORTURED)' > build/memory.log 2>&1 || \
		{ cat build/memory.log; exit 1; }
	@for lua in 5.4 jit; do $(MAKE) --no-print-directory \
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

# Secrets: what is left of them in memory, with the module linked to a driver again; and
# the specs with all hooks, whose output may contain none. The long form takes all specs
# but those that no other allocation may disturb.
UPSET = spec/regress/031-% spec/regress/062-%
WATCHED = $(call specs,balance errors login options retry token_store token_file \
	token) $(filter-out $(UPSET),$(wildcard spec/regress/*.lua))
WATCHED_ALL = $(filter-out $(UPSET),$(wildcard spec/*/*_spec.lua))
torture-secrets: ## no secret in outputs, hooks and freed memory
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

# Fuzzing by libFuzzer on Lua 5.4, with slow oracles: a target for each file of
# spec/torture/fuzz, the slow ones first. 20,000 executions of each, or a million.
FUZZ_TARGETS = option answer error redact flat number quote header time
torture-fuzz: ## fuzzes everything that reads bytes from outside
	@$(MAKE) --no-print-directory torture-fuzz-run LUA=5.4 VARIANT=-fuzz CC=clang \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link,address,undefined \
		-fno-sanitize-recover=undefined -fprofile-instr-generate -fcoverage-mapping'

torture-fuzz-run: $(FUZZ_TARGETS:%=$(OUT)/fuzz-%)
	@sh spec/torture/fuzz.sh $(OUT) $(if $(LONG),1000000,20000) $(FUZZ_TARGETS)

$(OUT)/fuzz-%: spec/torture/fuzz/%.c $(wildcard spec/torture/fuzz/*.h) $(OBJECTS)
	$(CC) -std=c99 -D_GNU_SOURCE $(WARN) $(CFLAGS) -fsanitize=fuzzer -I$(LUA_INCDIR) \
		-Isrc -o $@ $< $(OBJECTS) -llua$(LUA) -ldl $(LIBS)

# SOAK balances over HTTP/1.1 and as many over HTTP/2, one in twenty with a fault.
SOAK ?= $(if $(LONG),100000,15000)
torture-soak: all cjson ## many balances with faults: none is lost, nothing grows
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && UQPAY_OUT=$(OUT) \
		$(LUA_BIN) spec/torture/soak.lua $(SOAK)

torture-threads: ## 32 threads with a Lua state each under the thread sanitizer
	@mkdir -p build
	@$(MAKE) --no-print-directory all VARIANT=-tsan CC=gcc \
		CFLAGS='-O1 -g -fsanitize=thread' > build/tsan.log || { cat build/tsan.log; exit 1; }
	@gcc $(STD) $(WARN) -O1 -g -fsanitize=thread -I$(LUA_INCDIR) \
		-o $(OUT)-tsan/threads spec/torture/threads.c -llua$(LUA) -lpthread
	@$(call paths,src/?.lua;./?.lua,$(OUT)-tsan/?.so) && UQPAY_OUT=$(OUT)-tsan \
		TSAN_OPTIONS='exitcode=66 suppressions=spec/torture/tsan.supp' \
		$(LUA_BIN) spec/torture/threads.lua $(OUT)-tsan/threads 32 $(if $(LONG),20,4)

# LUA_INIT sets the locale in the busted process and all its children. The messages of
# programs stay English. LONG=1: all specs, and C's locale, too.
LOCALE_SPECS = amount balance clock errors exact family locale numbers options \
	rate_limiter json_numbers retry time token
torture-locale: engine-objects build/locale/log ## specs in a German locale
	@MAKE='$(MAKE)' sh spec/support/check.sh $(foreach locale,de_DE $(if $(LONG),C),\
		$(foreach lua,5.4 jit,'locale-spec LUA=$(lua) LOCALE=$(locale)'))

locale-spec: export LOCPATH = $(CURDIR)/build/locale
locale-spec: export LC_ALL = $(LOCALE)
locale-spec: export LANGUAGE = en
locale-spec: export LUA_INIT = assert(os.setlocale "$(LOCALE)")
locale-spec: SPEC = $(if $(LONG),spec,$(call specs,$(LOCALE_SPECS)))
locale-spec:
	@$(MAKE) --no-print-directory spec SPEC='$(SPEC)'

# LUA_INIT sets the collector in the busted process and all its children. Several processes,
# since each collection traverses all that busted keeps. LONG=1: all specs.
GC_SPECS = balance call family process token_store
torture-gc: engine-objects ## specs with a collection wherever one is possible
	@MAKE='$(MAKE)' sh spec/support/check.sh 'gc-spec LUA=5.4' 'gc-spec LUA=jit'

gc-spec: export LUA_INIT = @$(CURDIR)/spec/torture/gc.lua
gc-spec: SPEC = $(if $(LONG),$(wildcard spec/*/*_spec.lua),\
	$(call specs,$(GC_SPECS)))
gc-spec:
	@printf '%s\n' $(SPEC) | xargs -n 8 sh -c \
		'$(MAKE) --no-print-directory spec SPEC="$$*"' sh

# Random operations on random clients, also within hooks, token stores, token functions,
# finalizers and coroutines, against a server that fails: 150 seeds, LONG=1: 600. SEED=N
# RANDOM_LUAS=jit repeats one.
SEED ?=
RANDOM_LUAS ?= 5.1 5.4 jit
torture-random: build/unpreload.so ## random operations under the sanitizers
	@mkdir -p build
	@$(MAKE) --no-print-directory engine-objects $(ASAN) > build/random.log 2>&1 || \
		{ cat build/random.log; exit 1; }
	@for lua in $(RANDOM_LUAS); do $(MAKE) --no-print-directory \
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

# Clients reset and close at any time, light threads end or are killed, workers are killed
# and reloaded, the upstream fails: each request gets the right balance or an error that a
# fault explains, in time, and nothing grows. SEED=N repeats the choices.
NGINX_WORKERS ?= $(if $(LONG),4,4 2 1)
NGINX_REQUESTS ?= $(if $(LONG),200000,2000)
torture-nginx: ## requests to nginx whose clients, workers and upstream fail
	@$(MAKE) --no-print-directory torture-nginx-run LUA=jit

torture-nginx-run: export UQPAY_SEED = $(SEED)
torture-nginx-run: all cjson
	@$(call paths,src/?.lua;./?.lua,$(OUT)/?.so) && UQPAY_OUT=$(OUT) \
		$(LUA_BIN) spec/torture/nginx.lua $(NGINX_REQUESTS) $(NGINX_WORKERS)

build/locale/log: spec/support/locales.sh
	@sh $< build/locale

.PHONY: torture torture-quick torture-memory torture-memory-run torture-secrets \
	torture-freed torture-fuzz torture-fuzz-run torture-soak torture-threads \
	torture-locale locale-spec torture-gc gc-spec torture-random torture-random-run \
	torture-nginx torture-nginx-run
