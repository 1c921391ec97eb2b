# Lint.

C_FILES = $(wildcard src/*.c src/binding/*.[ch] src/engine/*/*.[ch] spec/support/*.c \
	spec/support/engine/*.[ch] spec/support/kqueue/*.c spec/support/kqueue/sys/*.h \
	spec/bench/*.c spec/torture/*.[ch] spec/torture/fuzz/*.[ch])
SHELL_FILES = $(wildcard spec/*/*.sh src/uqpay/testing/launcher/*.sh) \
	src/bin/uqpay-sandbox .ci/run
lint: lint-warnings lint-style lint-structure ## warnings, style, layers, complexity, exports

# Warnings of gcc and clang with the headers of each Lua, and of all pollers.
POLLERS = $(wildcard src/engine/event/*.c)
lint-warnings:
	@for cc in gcc clang; do for lua in $(LINT_INCDIRS); do dir=$${lua#*:}; \
		[ -f $$dir/lua.h ] || { echo "not checked: Lua $${lua%%:*} has no headers here"; \
		continue; }; \
		echo "$$cc -Werror with $$dir"; for file in $(SOURCES); do \
		$$cc $(STD) $(WARN) -Werror -Isrc -I$$dir -fsyntax-only $$file || exit 1; \
		done; done; done
	@for cc in gcc clang; do for system in -DUQ_POLLER_POLL '$(KQUEUE)' \
		'$(KQUEUE) -DKQUEUE_OLD'; do echo "$$cc -Werror with $$system"; \
		$$cc $(STD) $(WARN) -Werror -Isrc $$system -fsyntax-only $(POLLERS) || exit 1; \
		done; $$cc $(STD) $(WARN) -Werror $(KQUEUE) -fsyntax-only \
		spec/support/kqueue/kqueue.c || exit 1; done
	clang-tidy --quiet $(SOURCES) -- $(STD) -Isrc -I$(LUA_INCDIR) 2> /dev/null
	clang-tidy --quiet src/engine/event/poll.c -- $(STD) -Isrc -DUQ_POLLER_POLL 2> /dev/null
	clang-tidy --quiet src/engine/event/kqueue.c -- $(STD) -Isrc $(KQUEUE) 2> /dev/null

LINT_INCDIRS = $(foreach lua,$(LUAS),$(lua):$(shell $(MAKE) -s --no-print-directory \
	LUA=$(lua) print-incdir))
print-incdir:
	@echo $(LUA_INCDIR)

# A line that begins with a single asterisk is a comment that clang-format has broken.
lint-style:
	clang-format --dry-run -Werror $(C_FILES)
	@! grep -nE '^ ?\*[a-zA-Z]' $(C_FILES) || { echo "torn by clang-format"; exit 1; }
	luacheck --quiet src spec examples rockspec/*.rockspec
	for file in rockspec/*.rockspec; do luarocks lint $$file || exit 1; done
	for file in $(SHELL_FILES); do sh -n $$file || exit 1; done

# Functions have a cyclomatic complexity (McCabe; a switch counts once) of at most 12 and at
# most 60 lines: columns 1 and 5 of pmccabe.
lint-structure:
	@functions=$$(pmccabe $(SOURCES)) && echo "$$functions" | awk '$$1 > 12 || $$5 > 60 { \
		print "complexity " $$1 ", " $$5 " lines: " $$6 " " $$7; long = 1 } \
		END { exit long }'
	sh spec/support/layers.sh $(LUA_INCDIR)
	$(MAKE) --no-print-directory all
	sh spec/support/graph.sh $(OUT) $(ENGINE_OUT) $(OBJECTS)
	sh spec/support/symbols.sh $(MODULE)

.PHONY: lint lint-warnings lint-style lint-structure print-incdir
