# Lint.

C_FILES = $(wildcard src/*.c src/binding/*.[ch] src/engine/*/*.[ch] spec/support/*.c spec/bench/*.c \
	spec/support/kqueue/*.c spec/support/kqueue/sys/*.h spec/torture/*.[ch] \
	spec/torture/fuzz/*.[ch])
POLLERS = $(wildcard src/engine/event/*.c)
lint:
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
	clang-format --dry-run -Werror $(C_FILES)
	@! grep -nE '^ ?\*[a-zA-Z]' $(C_FILES) || { echo "torn by clang-format"; exit 1; }
	luacheck --quiet src spec examples rockspec/*.rockspec
	for file in rockspec/*.rockspec; do luarocks lint $$file || exit 1; done
	for file in spec/support/*.sh spec/bench/*.sh spec/torture/*.sh \
		spec/matrix/*.sh spec/sandbox/*.sh .ci/run; do \
		sh -n $$file || exit 1; done
	sh spec/support/layers.sh '$(BINDING)' '$(ENGINE)' $(LUA_INCDIR)
	$(MAKE) --no-print-directory all
	sh spec/support/symbols.sh $(MODULE)

LINT_INCDIRS = $(foreach lua,$(LUAS),$(lua):$(shell $(MAKE) -s --no-print-directory \
	LUA=$(lua) print-incdir))
print-incdir:
	@echo $(LUA_INCDIR)
