# lua-uqpay: see README.md. Every variable can be given on the command line.
# `make help` lists the targets.

LUA ?= 5.4
LUAS = 5.1 5.2 5.3 5.4 5.5 jit
# The Luas that the specs can run on here, looked up once; a list on the command line is
# not checked.
AVAILABLE = $(eval AVAILABLE := $(if $(filter command,$(origin LUAS)),$(LUAS),$(shell \
	MAKE='$(MAKE)' sh spec/support/luas.sh $(LUAS))))$(AVAILABLE)

CC ?= cc
CFLAGS ?= -O2 -g
LIBFLAG ?= -shared
INSTALL ?= install
BUSTED ?= busted

# By Lua: the interpreter, the headers, the ABI's name in paths.
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
BINDIR ?= $(PREFIX)/bin

# A variant (-asan) builds in folders of its own; EXTRA are its additional objects. The
# objects of the engine know no Lua: all Luas link the same ones.
VARIANT ?=
EXTRA ?=
OUT = build/$(LUA)$(VARIANT)
ENGINE_OUT = build/engine$(VARIANT)

ENGINE = $(sort $(wildcard src/engine/*/*.c))
BINDING = src/uqpay.c $(sort $(wildcard src/binding/*.c))
SOURCES = $(BINDING) $(ENGINE)
ENGINE_OBJECTS = $(ENGINE:src/engine/%.c=$(ENGINE_OUT)/%.o)
OBJECTS = $(BINDING:src/%.c=$(OUT)/%.o) $(ENGINE_OBJECTS)
MODULE = $(OUT)/uqpay.so

STD = -std=c99 -fPIC
WARN = -Wall -Wextra -Wpedantic
COMPILE = $(CC) $(STD) $(WARN) $(CPPFLAGS) $(CFLAGS) -Isrc
COMPILE_LUA = $(COMPILE) -I$(LUA_INCDIR)
LIBCURL ?= -lcurl
LIBS ?= $(LIBCURL) -lpthread -lm

all: $(MODULE) ## builds build/LUA/uqpay.so: make LUA=5.1|5.2|5.3|5.4|5.5|jit

$(MODULE): $(OBJECTS) $(EXTRA)
	$(CC) $(LIBFLAG) $(CFLAGS) $(LDFLAGS) -o $@ $(OBJECTS) $(EXTRA) $(LIBS)

$(OUT)/%.o: src/%.c
	@mkdir -p $(@D)
	$(COMPILE_LUA) -MMD -MP -c -o $@ $<

$(ENGINE_OUT)/%.o: src/engine/%.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

deps: ## installs what the module, the demos and the sandbox need (Debian packages)
	@sh spec/support/deps.sh deps

dev-deps: ## installs what all other targets need, but bench
	@sh spec/support/deps.sh dev-deps

bench-deps: ## installs what bench needs
	@sh spec/support/deps.sh bench-deps

demo: all ## fetches balances from a sandbox server
	LUA_BIN=$(LUA_BIN) LUA_ABI=$(LUA_ABI) sh spec/support/demo.sh $(OUT)

WAIT ?=
demo-openresty: export WAIT := $(WAIT)
demo-openresty: ## the same inside nginx, by examples/nginx.conf; WAIT=1 keeps both running
	@$(MAKE) --no-print-directory all LUA=jit
	@sh spec/support/demo_openresty.sh build/jit

sandbox: ## runs the sandbox server: see README.md
	@sh src/bin/uqpay-sandbox

LAUNCHER = uqpay/testing/launcher
install: all ## installs module, Lua files, annotations and command: PREFIX=/usr/local
	$(INSTALL) -d $(DESTDIR)$(LUA_CMOD) $(DESTDIR)$(LUA_LMOD)/uqpay/types/uqpay
	$(INSTALL) -m 755 $(MODULE) $(DESTDIR)$(LUA_CMOD)/uqpay.so
	$(INSTALL) -m 644 src/uqpay/*.lua $(DESTDIR)$(LUA_LMOD)/uqpay
	$(INSTALL) -d $(DESTDIR)$(LUA_LMOD)/uqpay/testing/server
	$(INSTALL) -m 644 src/uqpay/testing/*.lua $(DESTDIR)$(LUA_LMOD)/uqpay/testing
	$(INSTALL) -m 644 src/uqpay/testing/server/*.lua \
		$(DESTDIR)$(LUA_LMOD)/uqpay/testing/server
	$(INSTALL) -d $(DESTDIR)$(LUA_LMOD)/resty/uqpay
	$(INSTALL) -m 644 src/resty/uqpay.lua $(DESTDIR)$(LUA_LMOD)/resty
	$(INSTALL) -m 644 src/resty/uqpay/*.lua $(DESTDIR)$(LUA_LMOD)/resty/uqpay
	$(INSTALL) -m 644 src/types/uqpay.lua $(DESTDIR)$(LUA_LMOD)/uqpay/types
	$(INSTALL) -m 644 src/types/uqpay/*.lua $(DESTDIR)$(LUA_LMOD)/uqpay/types/uqpay
	$(INSTALL) -d $(DESTDIR)$(LUA_LMOD)/uqpay/testing/server $(DESTDIR)$(LUA_LMOD)/$(LAUNCHER)
	$(INSTALL) -m 644 src/uqpay/testing/*.lua $(DESTDIR)$(LUA_LMOD)/uqpay/testing
	$(INSTALL) -m 644 src/uqpay/testing/server/*.lua \
		$(DESTDIR)$(LUA_LMOD)/uqpay/testing/server
	$(INSTALL) -m 644 src/$(LAUNCHER)/*.sh src/$(LAUNCHER)/nginx.conf \
		$(DESTDIR)$(LUA_LMOD)/$(LAUNCHER)
	sed 's|^installed=.*|installed="$(LUA_LMOD)"|' src/bin/uqpay-sandbox > $(OUT)/uqpay-sandbox
	$(INSTALL) -d $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 755 $(OUT)/uqpay-sandbox $(DESTDIR)$(BINDIR)/uqpay-sandbox

uninstall: ## removes what install installed
	rm -f $(DESTDIR)$(LUA_CMOD)/uqpay.so $(DESTDIR)$(BINDIR)/uqpay-sandbox
	rm -rf $(DESTDIR)$(LUA_LMOD)/uqpay $(DESTDIR)$(LUA_LMOD)/resty/uqpay.lua \
		$(DESTDIR)$(LUA_LMOD)/resty/uqpay

# `make matrix` leaves no mounts behind; one that was made by hand must not be emptied.
clean: ## removes the folder build
	@! grep -s ' $(CURDIR)/build/' /proc/mounts || { echo "clean: unmount it first"; exit 1; }
	rm -rf build

INCLUDED = spec/spec.mk spec/lint.mk spec/torture/torture.mk spec/bench/bench.mk
help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-17s%s\n", $$1, $$2 }' Makefile $(INCLUDED)

.PHONY: all deps dev-deps bench-deps demo demo-openresty sandbox install \
	uninstall clean help

include $(INCLUDED)
