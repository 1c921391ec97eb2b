# Benches: see spec/bench.

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
