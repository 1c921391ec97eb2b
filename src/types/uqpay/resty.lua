---@meta resty.uqpay

---`uqpay` within nginx.
---@class uqpay.resty: uqpay.loop
local resty = {}

---A client whose methods yield the light thread that calls them. A bad option raises an error
---that names it. In phases that cannot yield its methods return nil, message and an error of
---the kind `config`; its iterators fail with it at their first item.
---@param options uqpay.resty.options
---@return uqpay.resty.client
function resty.new(options) end

---The same from environment variables, see `uqpay.from_env`; nginx hides variables that
---nginx.conf does not name (`env UQPAY_CLIENT_ID;`).
---@param options? uqpay.resty.options
---@return uqpay.resty.client
function resty.from_env(options) end

---Times are in seconds, not in milliseconds as in nginx's own Lua API: a timeout above 3,600
---is a warning in the error log, once a worker.
---@class uqpay.resty.options: uqpay.options
---@field shared? string             # a lua_shared_dict: workers share the login's token, rate_limit and pauses after a 429
---@field identity? string           # the owner of the token, if a function returns it: clients with the same name share these
---@field max_connections? integer   # of each worker (default 16; 1 to 1024); calls wait for a free one
---@field cache? uqpay.resty.cache   # workers share balances

---@class uqpay.resty.cache
---@field ttl number         # seconds for which a cached balance is fresh
---@field stale? number      # seconds after that for which it is still returned, while it is renewed or that fails (default 0)
---@field dict? string       # a lua_shared_dict (default: that of `shared`)
---@field identity? string   # the owner of the token, if a function returns it (default: the client's)

---@class uqpay.resty.call_options: uqpay.call_options
---@field cache? boolean     # false: calls UQPAY in any case, and caches the answer (default true)

---@class uqpay.resty.balance_query: uqpay.resty.call_options
---@field currency? string

---A balance from the cache.
---@class uqpay.resty.balance: uqpay.balance
---@field cached_at? number  # Unix seconds of its arrival
---@field age? number        # seconds since then; of peek_balance only
---@field stale? true        # it is older than ttl

---@class uqpay.resty.stats: uqpay.stats
---@field cache_hits? integer     # fresh balances returned; these three only with a cache
---@field cache_stale? integer    # stale balances returned
---@field cache_failures? integer # calls of this worker that failed

---@class uqpay.resty.client: uqpay.loop.client
local client = {}

---As `uqpay.client:balance`. With a cache the balance may be from another request, and a failure
---may be one that all workers remember, for ten seconds at most.
---@param currency string
---@param options? uqpay.resty.call_options
---@return uqpay.resty.balance? balance
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.resty.client, query?: uqpay.resty.balance_query): uqpay.resty.balance?, string?, uqpay.error?
function client:balance(currency, options) end

---The cached balance, or only nil. Never calls UQPAY and never waits: works in every phase. For
---a wrong value returns nil, message and an error of the kind `invalid_request`. Raises on a
---client without a cache.
---@param currency string
---@param options? uqpay.call_options
---@return uqpay.resty.balance? balance
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.resty.client, query?: uqpay.balance_query): uqpay.resty.balance?, string?, uqpay.error?
function client:peek_balance(currency, options) end

---Drops the cached balance or failure. The answer to a call that is in flight is not cached.
---Never waits: works in every phase. Raises on a client without a cache.
---@param currency string
---@param options? uqpay.call_options
---@return true? done
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.resty.client, query?: uqpay.balance_query): true?, string?, uqpay.error?
function client:forget_balance(currency, options) end

---Counts of what the client has done so far, in this worker.
---@return uqpay.resty.stats
function client:stats() end

return resty
