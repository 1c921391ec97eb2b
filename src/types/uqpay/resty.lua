---@meta resty.uqpay

---`uqpay` within nginx.
---@class uqpay.resty: uqpay.loop
local resty = {}

---A client whose methods yield the light thread that calls them. Raises on a bad option,
---naming it. In phases that cannot yield its methods return nil, message and an error of
---the kind `config`; its iterators fail so at their first item.
---@param options uqpay.resty.options
---@return uqpay.resty.client
function resty.new(options) end

---The same with what environment variables say, see `uqpay.from_env`; nginx hides those that
---nginx.conf does not name (`env UQPAY_CLIENT_ID;`).
---@param options? uqpay.resty.options
---@return uqpay.resty.client
function resty.from_env(options) end

---Times are in seconds, not in milliseconds as in nginx's own Lua API: a timeout above 3,600
---is a warning in the error log, once a worker.
---@class uqpay.resty.options: uqpay.options
---@field shared? string             # a lua_shared_dict: workers share the login's token, rate_limit and pauses after a 429
---@field identity? string           # whose token it is, if that comes from a function: clients with the same one share all that
---@field max_connections? integer   # of each worker (default 16; 1 to 1024); calls wait for them
---@field cache? uqpay.resty.cache   # workers share balances

---@class uqpay.resty.cache
---@field ttl number         # seconds that an answer is given to others, too
---@field stale? number      # seconds that it may be given after that, while one asks for a new one or fails (default 0)
---@field dict? string       # a lua_shared_dict (default: that of `shared`)
---@field identity? string   # whose token it is, if that comes from a function (default: the client's)

---@class uqpay.resty.call_options: uqpay.call_options
---@field cache? boolean     # false: asks UQPAY, whatever is kept; the cache keeps the answer (default true)

---@class uqpay.resty.balance_query: uqpay.resty.call_options
---@field currency? string

---What a cache gives.
---@class uqpay.resty.balance: uqpay.balance
---@field cached_at? number  # Unix seconds when it came
---@field age? number        # seconds since then; of peek_balance only
---@field stale? true        # it is older than ttl

---@class uqpay.resty.stats: uqpay.stats
---@field cache_hits? integer     # answers that were fresh; these three only with a cache
---@field cache_stale? integer    # stale answers given
---@field cache_failures? integer # questions to UQPAY, of this worker, that failed

---@class uqpay.resty.client: uqpay.loop.client
local client = {}

---As `uqpay.client:balance`. With a cache the answer may be another request's, and a failure
---may be one that is remembered for all workers, for ten seconds at most.
---@param currency string
---@param options? uqpay.resty.call_options
---@return uqpay.resty.balance? balance
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.resty.client, query?: uqpay.resty.balance_query): uqpay.resty.balance?, string?, uqpay.error?
function client:balance(currency, options) end

---What the cache has: a balance, or nil and nothing else. Never asks UQPAY and never waits:
---works in every phase. A wrong value gives nil, message and an error of the kind
---`invalid_request`. Raises on a client without a cache.
---@param currency string
---@param options? uqpay.call_options
---@return uqpay.resty.balance? balance
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.resty.client, query?: uqpay.balance_query): uqpay.resty.balance?, string?, uqpay.error?
function client:peek_balance(currency, options) end

---Drops what the cache has for this question, a remembered failure too. The answer to a call
---that is in flight is not kept. Never waits: works in every phase. Raises on a client
---without a cache.
---@param currency string
---@param options? uqpay.call_options
---@return true? done
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.resty.client, query?: uqpay.balance_query): true?, string?, uqpay.error?
function client:forget_balance(currency, options) end

---What the client has done so far, in this worker.
---@return uqpay.resty.stats
function client:stats() end

return resty
