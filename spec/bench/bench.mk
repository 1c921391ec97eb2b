# Benchmarks. LONG=1 also makes a million calls, to check that memory stays flat.
LONG ?=
bench: export LONG := $(LONG)
bench: build/bench/bare build/bench/meter ## speed beside bare libcurl and other clients, for README.md; minutes
	@$(MAKE) --no-print-directory all LUA=5.4
	@$(MAKE) --no-print-directory all LUA=jit
	@sh spec/bench/bench.sh

# Beside lua-resty-http as well if LUA_PATH has it; QUICK=1: a rough part of it.
bench-openresty: build/bench/slow_dns.so ## load of nginx workers by resty.uqpay; minutes
	@$(MAKE) --no-print-directory all LUA=jit
	@sh spec/bench/nginx.sh

build/bench/%.so: spec/bench/%.c
	@mkdir -p build/bench
	$(CC) $(STD) $(WARN) $(CFLAGS) -shared -o $@ $<

build/bench/%: spec/bench/%.c
	@mkdir -p build/bench
	$(CC) $(STD) $(WARN) $(CFLAGS) -o $@ $< -lcurl

.PHONY: bench bench-openresty
