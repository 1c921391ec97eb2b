std = "min"
max_line_length = 90
files["src"].max_cyclomatic_complexity = 12
files["examples"].max_cyclomatic_complexity = 12
files["spec"].std = "max+busted"
files["src/uqpay/testing/nginx.lua"].std = "ngx_lua"
files["spec/torture/nginx_worker.lua"].std = "ngx_lua"
files["src/resty"].std = "ngx_lua"
files["examples/nginx"].std = "ngx_lua"
files["examples/nginx/alarm_test.lua"].read_globals = { "sandbox" } -- of testing.conf
files["examples/testing_spec.lua"].std = "max+busted"
files["rockspec"].std = "rockspec"
files["src/types"] = { max_line_length = false, unused_args = false, ignore = { "221", "241" } }
