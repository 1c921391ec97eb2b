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
WATCHED = $(call specs,balance errors login options retry token_store token_file \
	token) $(filter-out $(UPSET),$(wildcard spec/regress/*.lua))
WATCHED_ALL = $(filter-out $(UPSET),$(wildcard spec/*/*_spec.lua))
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
	options rate_limiter json_numbers retry time token
torture-locale: build/locale/log
	@MAKE='$(MAKE)' sh spec/support/check.sh $(foreach locale,de_DE $(if $(LONG),C),\
		$(foreach lua,5.4 jit,'locale-spec LUA=$(lua) LOCALE=$(locale)'))

locale-spec: export LOCPATH = $(CURDIR)/build/locale
locale-spec: export LC_ALL = $(LOCALE)
locale-spec: export LANGUAGE = en
locale-spec: export LUA_INIT = assert(os.setlocale "$(LOCALE)")
locale-spec: SPEC = $(if $(LONG),spec,$(call specs,$(LOCALE_SPECS)))
locale-spec:
	@$(MAKE) --no-print-directory spec SPEC='$(SPEC)'

# Specs with the collector at its most eager, in the busted process and all its children;
# in several processes, since each collection goes through all that busted keeps. LONG=1:
# all specs.
GC_SPECS = balance call family process token_store
torture-gc:
	@MAKE='$(MAKE)' sh spec/support/check.sh 'gc-spec LUA=5.4' 'gc-spec LUA=jit'

gc-spec: export LUA_INIT = @$(CURDIR)/spec/torture/gc.lua
gc-spec: SPEC = $(if $(LONG),$(wildcard spec/*/*_spec.lua),\
	$(call specs,$(GC_SPECS)))
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
