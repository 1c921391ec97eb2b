---@meta resty.uqpay

---`uqpay` within nginx.
---@class uqpay.resty: uqpay.loop
local resty = {}

---A client whose methods yield the light thread that calls them. Raises on a bad option,
---naming it. In phases that cannot yield its methods return nil, message and an error of
---the kind `config`; its iterators fail so at their first item.
---@param options uqpay.resty.options
---@return uqpay.loop.client
function resty.new(options) end

---The same with what environment variables say, see `uqpay.from_env`; nginx hides those that
---nginx.conf does not name (`env UQPAY_CLIENT_ID;`).
---@param options? uqpay.resty.options
---@return uqpay.loop.client
function resty.from_env(options) end

---@class uqpay.resty.options: uqpay.options
---@field shared? string             # a lua_shared_dict: workers share the login's token, and the turns under rate_limit
---@field max_connections? integer   # of each worker (default 16; 1 to 1024); calls wait for them
---@field cache? uqpay.resty.cache   # workers share balances

---@class uqpay.resty.cache
---@field ttl number         # seconds that an answer is given to others, too
---@field stale? number      # seconds that it may be given behind that, while one asks for a new one or fails (default 0)
---@field dict? string       # a lua_shared_dict (default: that of `shared`)
---@field identity? string   # whose token it is, if that comes from a function

---What a cache gives.
---@class uqpay.resty.balance: uqpay.balance
---@field cached_at? number  # Unix seconds when it came
---@field stale? true        # it is older than ttl

return resty
