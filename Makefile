# lua-uqpay: see README.md. Every variable can be given on the command line.
#
#   make [LUA=5.1|5.2|5.3|5.4|jit]   build build/LUA/uqpay.so
#   make deps demo                   from nothing to a balance
#   make deps check                  from nothing to all specs on all five Luas

LUA ?= 5.4
LUAS = 5.1 5.2 5.3 5.4 jit

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

# A variant (asan) builds beside the plain module.
VARIANT ?=
OUT = build/$(LUA)$(VARIANT)

BINDING = uqpay client call token endpoint options answer error json
ENGINE = transport handle idle received outcome process address poller clock \
	retry redact quote amount uuid buf
SOURCES = $(patsubst %,src/%.c,$(BINDING) $(ENGINE))
OBJECTS = $(patsubst src/%.c,$(OUT)/%.o,$(SOURCES))
MODULE = $(OUT)/uqpay.so

STD = -std=c99 -fPIC
WARN = -Wall -Wextra -Wpedantic
LIBS ?= -lcurl -lpthread -lm

.PHONY: all deps demo sandbox check spec asan asan-spec valgrind lint \
	print-incdir install uninstall clean

all: $(MODULE)

$(MODULE): $(OBJECTS)
	$(CC) $(LIBFLAG) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(LIBS)

$(OUT)/%.o: src/%.c | $(OUT)
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -I$(LUA_INCDIR) -MMD -c -o $@ $<

$(OUT):
	mkdir -p $@

# The engine's leaves as a Lua module, for the specs alone.
$(OUT)/engine.so: spec/support/engine.c $(OBJECTS)
	$(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -I$(LUA_INCDIR) -Isrc \
		$(LIBFLAG) $(LDFLAGS) -o $@ $< \
		$(patsubst %,$(OUT)/%.o,$(ENGINE)) $(LIBS)

# fork(2) and signals, for the specs alone; preloaded by some, so never sanitized.
$(OUT)/fork.so: spec/support/fork.c | $(OUT)
	$(CC) $(STD) $(WARN) -I$(LUA_INCDIR) $(LIBFLAG) -o $@ $<

-include $(OBJECTS:.o=.d)

deps:
	sh spec/support/deps.sh

demo: all
	LUA_BIN=$(LUA_BIN) sh spec/support/demo.sh $(OUT)

sandbox:
	@sh spec/support/sandbox.sh run

# The specs on one Lua: make spec LUA=5.1 SPEC=spec/retry_spec.lua
# UQPAY_WRAP stands before the interpreter: a sanitizer's preload, valgrind.
SPEC ?= spec
spec: export UQPAY_LUA = $(CURDIR)/spec/support/lua.sh
spec: export UQPAY_LUA_BIN = $(LUA_BIN)
spec: export UQPAY_OUT = $(OUT)
spec: all $(OUT)/engine.so $(OUT)/fork.so
	$(BUSTED) --lua='$(UQPAY_LUA)' --cpath='$(OUT)/?.so' --lpath='./?.lua' \
		-o plainTerminal $(SPEC)

# All specs on all five Luas.
check:
	@MAKE='$(MAKE)' sh spec/support/check.sh spec $(LUAS)

# The same under the address and undefined behaviour sanitizers, with leaks counted.
asan:
	@MAKE='$(MAKE)' sh spec/support/check.sh asan-spec $(LUAS)

asan-spec: export UQPAY_WRAP = env LD_PRELOAD=$(shell gcc \
	-print-file-name=libasan.so):$(CURDIR)/build/unpreload.so
asan-spec: export ASAN_OPTIONS = detect_leaks=1
asan-spec: export LSAN_OPTIONS = print_suppressions=0:suppressions=$(CURDIR)/$\
	spec/support/lsan.supp
asan-spec: build/unpreload.so
	@$(MAKE) --no-print-directory spec VARIANT=-asan CC=gcc CFLAGS='-O1 -g \
		-fsanitize=address,undefined -fno-sanitize-recover=undefined \
		-fno-omit-frame-pointer'

build/unpreload.so: spec/support/unpreload.c
	@mkdir -p build
	$(CC) $(STD) $(WARN) -shared -o $@ $<

# The specs under valgrind's memcheck, on one Lua; minutes.
valgrind: export UQPAY_WRAP = valgrind -q --error-exitcode=42 --leak-check=full \
	--show-leak-kinds=definite --errors-for-leak-kinds=definite \
	--suppressions=$(CURDIR)/spec/support/valgrind.supp
valgrind:
	@MAKE='$(MAKE)' sh spec/support/check.sh spec $(LUA)

C_FILES = $(wildcard src/*.c src/*.h spec/support/*.c)
lint:
	@for cc in gcc clang; do for dir in $(LINT_INCDIRS); do \
		echo "$$cc -Werror with $$dir"; for file in $(SOURCES); do \
		$$cc $(STD) $(WARN) -Werror -I$$dir -fsyntax-only $$file || exit 1; \
		done; done; done
	clang-tidy --quiet $(SOURCES) -- $(STD) -I$(LUA_INCDIR) 2> /dev/null
	clang-format --dry-run -Werror $(C_FILES)
	luacheck --quiet src spec examples rockspec/*.rockspec
	luarocks lint rockspec/uqpay-scm-1.rockspec
	for file in spec/support/*.sh .ci/run; do sh -n $$file || exit 1; done
	sh spec/support/layers.sh '$(BINDING)' '$(ENGINE)' $(LUA_INCDIR)
	$(MAKE) --no-print-directory all
	sh spec/support/symbols.sh $(MODULE)

LINT_INCDIRS = $(foreach lua,$(LUAS),$(shell $(MAKE) -s --no-print-directory \
	LUA=$(lua) print-incdir))
print-incdir:
	@echo $(LUA_INCDIR)

install: all
	$(INSTALL) -d $(DESTDIR)$(LUA_CMOD) $(DESTDIR)$(LUA_LMOD)/uqpay/types
	$(INSTALL) -m 755 $(MODULE) $(DESTDIR)$(LUA_CMOD)/uqpay.so
	$(INSTALL) -m 644 src/types/uqpay.lua $(DESTDIR)$(LUA_LMOD)/uqpay/types

uninstall:
	rm -f $(DESTDIR)$(LUA_CMOD)/uqpay.so
	rm -rf $(DESTDIR)$(LUA_LMOD)/uqpay

clean:
	rm -rf build
