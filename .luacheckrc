std = "min"
max_line_length = 90
files["src"].max_cyclomatic_complexity = 12
files["examples"].max_cyclomatic_complexity = 12
files["spec"].std = "max+busted"
files["spec/sandbox/server"].std = "ngx_lua"
files["spec/torture/nginx_worker.lua"].std = "ngx_lua"
files["src/resty"].std = "ngx_lua"
files["examples/nginx"].std = "ngx_lua"
files["rockspec"].std = "rockspec"
files["src/types"] = { max_line_length = false, unused_args = false, ignore = { "221", "241" } }
