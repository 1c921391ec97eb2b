---@meta uqpay

-- Annotations for the Lua language server: add the folder of this file to
-- `workspace.library`. Nothing here runs. Facts about the API are from
-- https://developers.uqpay.com/card-issuance/v1.6/api-reference/

---Client for UQPAY's card issuing API, on libcurl.
---@class uqpay
---@field _NAME string        # "uqpay"
---@field _VERSION string     # "0.1.0"
---Every kind of error: a list, and each name as a field of itself, so that a mistyped
---`uqpay.kinds.time_out` is nil.
---@field kinds table<integer|uqpay.kind, uqpay.kind>
local uqpay = {}

---@alias uqpay.kind
---| "invalid_request" # the API rejects the request: 400 and most other 4xx; or a value was rejected before it was sent
---| "auth"            # 401, or the token function or the login failed
---| "permission"      # 403
---| "not_found"       # 404, or a 400 of the type not_found
---| "conflict"        # 409, the API still works on a request with the same key, or a list changed
---| "idempotency"     # the key is malformed, mismatched or was used before
---| "rate_limit"      # 429, or no slot under rate_limit within the timeout
---| "api"             # 5xx
---| "connect"         # no connection, or it was lost before the whole answer came
---| "dns"             # the host name could not be resolved
---| "tls"             # the server's certificate or the handshake was rejected
---| "timeout"         # the deadline passed, or 408
---| "canceled"        # the call was cancelled, or its client closed
---| "protocol"        # not HTTP, a redirect, an unexpected status
---| "too_large"       # more than max_response_bytes, or endless headers
---| "decode"          # the body is not JSON, or has a name twice
---| "schema"          # JSON, but not a balance, or not the one asked for; inconsistent pages
---| "config"          # this libcurl or system cannot do what is asked, or a token store fails
---| "memory"          # out of memory
---| "forked"          # the client belongs to the parent process

---Options of `uqpay.new`. Times are in seconds, fractions allowed.
---@class uqpay.options
---@field environment? "sandbox"|"production" # which API (default "sandbox")
---@field base_url? string                    # instead of environment: "https://host/api"; http:// for loopback only
---@field token? string|uqpay.token_function  # access token, "Bearer " is added if absent; or a function that returns it; or else:
---@field client_id? string                   # the client logs in by itself
---@field api_key? string                     # the same
---@field token_store? uqpay.token_store      # shares the login's token with other processes
---@field rate_limit? integer                 # requests a minute (default 500 sandbox, 300 production, none with base_url; 0: none)
---@field on_behalf_of? string                # a connected account: account_id (a UUID) or short id ("CB" and digits); absent: the master account
---@field currency? string                    # for calls without one
---@field timeout? number                     # for a whole call: token, attempts and waits (default 30; 0.001 to 86400)
---@field connect_timeout? number             # for one connection (default 10; 0.001 to 86400)
---@field max_retries? integer                # further attempts after the first (default 2; 0 to 100)
---@field retry_delay? number                 # before the first retry, then doubled (default 0.5; 0 to 3600)
---@field retry_delay_max? number             # upper limit of the doubling (default 5; at least retry_delay; 0 to 3600)
---@field max_response_bytes? integer         # of a body (default 1048576; 1024 to 67108864)
---@field amounts? "number"|"string"|"exact"  # money as the nearest double, its digits, or a uqpay.amount (default "number")
---@field ca_file? string                     # CA bundle, PEM, readable; then no other CAs are trusted
---@field ca_path? string                     # folder of CA certificates, hashed as by `openssl rehash`
---@field pinned_public_key? string           # "sha256//<base64>", several with ";" between
---@field proxy? string                       # URL of a proxy, whatever NO_PROXY says; "" for none
---@field http_version? "auto"|"1.1"|"2"      # (default "auto": 1.1 until the first call object or batch, then 2)
---@field app_info? uqpay.app_info            # your program, for User-Agent
---@field transport? uqpay.transport           # called in place of libcurl
---@field clock? uqpay.clock                   # the time as the program says it; only with transport
---@field on_request? fun(info: uqpay.request_info)   # before each attempt
---@field on_response? fun(info: uqpay.response_info) # after each attempt
---@field on_retry? fun(info: uqpay.retry_info)       # before each wait for another attempt

---A request to the program's transport. Its headers have the token or the api_key.
---@class uqpay.transport_request
---@field endpoint string         # the method's name: "balance"; "token" for a login
---@field method string           # "POST", "GET"
---@field url string
---@field headers table<string, string> # names in lower case; any case finds them
---@field body? string            # of a POST
---@field timeout number          # seconds left for the attempt

---@class uqpay.transport_response
---@field status integer          # 200 to 999
---@field headers? table<string, string|number>
---@field body? string            # default ""

---Called in place of libcurl. Returns a response, or nil, a kind ("connect", "dns", "tls",
---"timeout", "protocol", "too_large", "decode", "config" or "memory") and a message. Blocks
---the call, and counts against its timeout; under an event loop and in nginx it runs in a
---coroutine of its own and may yield. An error in it is a failure of the kind "config".
---@alias uqpay.transport fun(request: uqpay.transport_request): uqpay.transport_response?, uqpay.kind?, string?

---The time as a program with a transport of its own says it. Neither function may yield.
---@class uqpay.clock
---@field now fun(): number              # Unix seconds
---@field sleep fun(seconds: number)     # called for every wait; after it they have passed

---@class uqpay.app_info
---@field name string
---@field version? string
---@field url? string

---Returns a token, and its expiry in Unix seconds if known; or nil and a message. Called with
---"new" (the client has no token: for each call, unless an expiry was returned), "expired"
---(less than a minute before the expiry) or "rejected" (the API answered 401). It blocks the
---call, counts against its timeout, must not yield and must not use its own client.
---@alias uqpay.token_function fun(reason: "new"|"expired"|"rejected"): string?, (number|string)?

---What hooks receive. Hooks run protected: an error in one is counted in
---`client:stats().hook_errors` and has no other effect. They must not yield.
---@class uqpay.request_info
---@field endpoint string         # the method's name: "balance"; "token" for a login
---@field method string           # "POST", "GET"
---@field url string
---@field currency? string
---@field on_behalf_of? string
---@field idempotency_key? string # of a balance
---@field attempt integer         # from 1; includes libcurl's own resends

---@class uqpay.response_info: uqpay.request_info
---@field status? integer         # absent when no answer came
---@field elapsed number          # seconds since the attempt began
---@field request_id? string
---@field kind? uqpay.kind        # of the error; absent on success
---@field message? string         # of the error

---@class uqpay.retry_info: uqpay.request_info
---@field wait number             # seconds until the next attempt
---@field status? integer
---@field kind uqpay.kind         # of the error that causes the retry
---@field message string

---Options of any call; their defaults are the options of `uqpay.new`.
---@class uqpay.common_options
---@field queued? boolean          # waits for the rate limit do not count against the timeout
---@field timeout? number
---@field connect_timeout? number
---@field max_retries? integer
---@field retry_delay? number
---@field retry_delay_max? number
---@field max_response_bytes? integer
---@field amounts? "number"|"string"|"exact"

---Options of a call for a balance.
---@class uqpay.call_options: uqpay.common_options
---@field on_behalf_of? string     # a UUID, or "CB" and digits
---@field idempotency_key? string  # a UUID of your own, never changed; one used before on this client is rejected ...
---@field allow_key_reuse? boolean # ... unless this is true: the answer may then be up to 24 hours old

---@class uqpay.balance_query: uqpay.call_options
---@field currency? string

---An issuing balance, see
---https://developers.uqpay.com/card-issuance/v1.6/api-reference/retrieve-issuing-balance
---Fields that the API adds are kept under their names; JSON null is absent.
---@class uqpay.balance
---@field balance_id string
---@field currency string
---A float; with amounts = "string" the digits as sent, with "exact" an amount.
---@field available_balance number|string|uqpay.amount
---@field margin_balance number|string|uqpay.amount
---@field frozen_balance number|string|uqpay.amount
---@field create_time? string             # as sent, for example "2024-03-21T17:17:32+08:00"; may be empty
---@field last_trade_time? string         # the same
---@field balance_status? string          # ACTIVE, PENDING, PROCESSING, CLOSED, or what the API adds

---Options of a list. A list of accounts has no others.
---@class uqpay.list_query: uqpay.common_options
---@field page_size? integer           # 1 to 100 (default 10; iterators: 100)
---@field page_number? integer         # from 1 (default 1; not for iterators)

---@class uqpay.balances_query: uqpay.list_query
---@field on_behalf_of? string

---@class uqpay.transactions_query: uqpay.balances_query
---@field start_time? string           # range of creation times, from, as "2024-03-21T17:17:32+08:00" ...
---@field end_time? string             # ... to; for one page at most 90 days apart
---@field transaction_type? string     # DEPOSIT, FEE, ...
---@field transaction_status? string   # COMPLETED, PENDING, ...
---@field currency? string             # items in another one are an error
---@field transaction_id? string       # a UUID

---Options of an iterator, in addition to those of its list.
---@class uqpay.iterator_options
---@field on_error? "raise"|"return" # a failure is raised (the default), or yielded once: false, message, err
---@field progress? fun(info: uqpay.pages_info) # after each page

---@class uqpay.pages_info
---@field done integer    # items received
---@field total? integer  # of the whole list; nil before the last window of a range of time
---@field pages integer   # received
---@field rate number     # items a second
---@field ends? number    # Unix seconds, estimated

---@class uqpay.each_balance_query: uqpay.balances_query, uqpay.iterator_options

---@class uqpay.each_transaction_query: uqpay.transactions_query, uqpay.iterator_options

---@class uqpay.each_account_query: uqpay.list_query, uqpay.iterator_options

---@class uqpay.page
---@field total_pages integer
---@field total_items integer

---@class uqpay.balances_page: uqpay.page
---@field data uqpay.balance[]

---@class uqpay.transactions_page: uqpay.page
---@field data uqpay.transaction[]

---@class uqpay.accounts_page: uqpay.page
---@field data uqpay.account[]

---A change of a balance. Fields that the API adds are kept under their names.
---@class uqpay.transaction
---@field transaction_id string
---@field transaction_type string      # an extensible enum: DEPOSIT, TRANSFER_IN, FEE, ...
---@field currency string
---@field amount number|string|uqpay.amount
---@field transaction_status? string   # an extensible enum: COMPLETED, PENDING, FAILED, ...
---@field create_time? string          # as sent; may be empty
---@field complete_time? string        # as sent; may be empty or the zero date
---@field short_transaction_id? string
---@field account_id? string
---@field account_name? string
---@field balance_id? string
---@field ending_balance? number|string|uqpay.amount
---@field description? any             # usually a string

---A connected account. Fields that the API adds are kept under their names.
---@class uqpay.account
---@field account_id string            # what on_behalf_of takes
---@field status? string               # an extensible enum: ACTIVE, PENDING, PROCESSING, REVIEW, INACTIVE, SUSPENDED, CLOSED, ...
---@field business_code? string[]      # ISSUING, BANKING, ACQUIRING
---@field account_name? any            # usually a string
---@field verification_status? string
---@field entity_type? string
---@field country? string

---The third result of a failed call. `tostring(err)` is the message.
---@class uqpay.error
---@field kind uqpay.kind
---@field message string            # what happened, with which host, after how many attempts
---@field attempts integer          # requests sent, including libcurl's own resends; 0 also if a value was rejected
---@field elapsed number            # seconds, of the whole call
---@field retryable boolean         # true if the same call may succeed later, without a change
---@field endpoint string           # the request that failed: "balance", "balances", "transactions", "accounts"; "token" for a login
---@field retry_stopped? string     # why retrying stopped: "not_retryable", "max_retries", "deadline", "closed", "canceled"
---@field status? integer           # HTTP status, when an answer came
---@field type? string              # from the API: "account_error" if on_behalf_of cannot be used
---@field code? string|number       # from the API
---@field missing_fields? string[]  # from the API
---@field request_id? string        # x-request-id, request-id or x-b3-traceid of the answer
---@field retry_after? number       # seconds, from Retry-After
---@field idempotency_key? string   # of the last attempt
---@field on_behalf_of? string
---@field body? string              # of the answer: at most about 2 KiB, without the token
---@field curl_code? integer        # libcurl's, when no answer came
---@field curl_name? string
---@field os_errno? integer

---@class uqpay.stats
---@field calls integer
---@field succeeded integer
---@field failed integer
---@field attempts integer    # requests sent, including libcurl's own resends
---@field retries integer
---@field logins integer      # requests for a token with client_id and api_key
---@field connections integer # opened
---@field hook_errors integer # errors of hooks; failures of a store's set and unlock

---@class uqpay.info
---@field version string     # of this module
---@field libcurl string
---@field tls string         # libcurl's TLS library
---@field ca_file? string    # libcurl's default CA bundle
---@field ca_path? string
---@field http2 boolean
---@field async_dns boolean  # name look-ups respect the timeout
---@field poller string      # "epoll", "kqueue" or "poll"
---@field cjson string       # lua-cjson's version

---An exact decimal number of up to 38 digits, any of them after the decimal point. Immutable,
---never rounded. `==` compares two amounts only, not an amount with a number or string.
---@class uqpay.amount
---@operator add(uqpay.amount.like): uqpay.amount
---@operator sub(uqpay.amount.like): uqpay.amount
---@operator unm: uqpay.amount
---@operator concat(any): string
local amount = {}

---Anything that is accepted as an amount: an amount, a decimal string in JSON's grammar, a
---whole number.
---@alias uqpay.amount.like uqpay.amount|string|integer

---Tokens that processes share, each under a key that says whose it is. Any object with these
---methods is a store, a table or userdata. A method that fails returns nil and a message.
---@class uqpay.token_store
---The token and its expiry in Unix seconds, if that was given; nil: there is no token.
---@field get fun(self: uqpay.token_store, key: string): string?, (number|string)?
---Replaces the key's token, or removes it (nil).
---@field set fun(self: uqpay.token_store, key: string, token: string?, expires_at: number?): true?, string?
---Locks a key. false: it is locked already, by this process or another. Never waits. Both of
---lock and unlock, or neither.
---@field lock? fun(self: uqpay.token_store, key: string): boolean?, string?
---@field unlock? fun(self: uqpay.token_store, key: string): true?, string?

---@class uqpay.client
local client = {}

---Makes a client. Opens no connection and does not block. A bad option raises an error that
---names it.
---@param options uqpay.options
---@return uqpay.client
function uqpay.new(options) end

---A client from environment variables: UQPAY_TOKEN, or UQPAY_CLIENT_ID and UQPAY_API_KEY;
---UQPAY_ENV or UQPAY_BASE_URL; UQPAY_CA_FILE. An empty one counts as not set. UQPAY_TOKEN
---takes precedence over the pair, and options take precedence over variables: `token` over all
---credentials, `client_id`, `api_key` and `token_store` over UQPAY_TOKEN, `base_url` and
---`environment` over both addresses. Raises if credentials are missing, and on a bad value,
---naming the variable.
---@param options? uqpay.options
---@return uqpay.client
function uqpay.from_env(options) end

---A new lower-case UUID of version 4.
---@return string
function uqpay.uuid() end

---An exact amount from a decimal string, a whole number or an amount. Returns nil and a message
---for text that is not a number or has more than 38 digits; raises on a float with a fraction.
---@param x uqpay.amount.like
---@return uqpay.amount? amount
---@return string? message
function uqpay.amount(x) end

---The exact sum of a list, or of what a function returns until nil. If the function returns nil
---or false with a message, the result is nil and the message. Raises beyond 38 digits, and if
---the list has holes or other keys.
---@param list uqpay.amount.like[]|fun(): uqpay.amount.like?, string?, any
---@return uqpay.amount? sum
---@return string? message
---@return any err
function uqpay.sum(list) end

---The Unix time of a time of the API, in whole seconds, and the fraction of a second. zone ("Z",
---"+08:00") is used if the text has none. Returns nil, "no date" for an empty text and the zero
---date; nil and a message for text that is not a time.
---@param text string
---@param zone? string
---@return integer? seconds
---@return number|string fraction # or the message
function uqpay.parse_time(text, zone) end

---True if a call accepts x as `currency`: three to five upper-case letters and digits. The
---currency need not exist. False for values of other types; never an error.
---@param x any
---@return boolean
function uqpay.is_currency(x) end

---True if a call accepts x as `on_behalf_of`: a UUID, or "CB" and 4 to 20 digits. The account
---need not exist. False for values of other types; never an error.
---@param x any
---@return boolean
function uqpay.is_account_id(x) end

---A token store in a file that is private to this user, with locks on another file, path ..
---".lock". Nothing is opened before one of its methods is called; each of them opens, checks
---and closes the file. For files that others could read or replace they return nil and a
---message. Bad arguments raise. Keys have up to 2048 bytes, tokens 8192, and no control bytes;
---expiries are kept as whole seconds. The locks end with the process, and when the store is
---collected.
---@param path string
---@return uqpay.token_store
function uqpay.file_store(path) end

---The sum, with the longer fraction of the two. Raises beyond 38 digits, as `+` does.
---@param other uqpay.amount.like
---@return uqpay.amount
function amount:add(other) end

---@param other uqpay.amount.like
---@return uqpay.amount
function amount:sub(other) end

---@return uqpay.amount
function amount:neg() end

---Returns -1 if it is less than the other, 0 if equal, 1 if greater.
---@param other uqpay.amount.like
---@return -1|0|1
function amount:cmp(other) end

---@return -1|0|1
function amount:sign() end

---The whole number of minor units for a currency of ISO 4217, or for a number of decimals; nil
---and a message if it would not be whole, does not fit, or the currency is unknown.
---@param currency string|integer
---@return integer? units
---@return string? message
function amount:minor(currency) end

---A text with the decimals of a currency (or a number of decimals), and a separator between
---thousands; nil and a message if it would need rounding, or the currency is unknown.
---@param currency? string|integer
---@param separator? string
---@return string? text
---@return string? message
function amount:format(currency, separator) end

---The nearest double: digits may be lost.
---@return number
function amount:tonumber() end

---Versions and features of this module and its libraries.
---@return uqpay.info
function uqpay.info() end

---Retrieve Issuing Balance: the balance as it is now. Blocks, for at most the timeout. Raises
---on an argument of a wrong type and on an unknown option, naming it; for a wrong value
---(currency, account, key) every call returns an error of the kind "invalid_request" with 0
---attempts.
---@param currency string
---@param options? uqpay.call_options
---@return uqpay.balance? balance
---@return string? message
---@return uqpay.error? err
---@overload fun(self: uqpay.client, query?: uqpay.balance_query): uqpay.balance?, string?, uqpay.error?
function client:balance(currency, options) end

---One page of the account's balances. Blocks, for at most the timeout.
---@param query? uqpay.balances_query
---@return uqpay.balances_page? page
---@return string? message
---@return uqpay.error? err
function client:balances(query) end

---One page of the transactions that changed the account's balances. Blocks, for at most the
---timeout.
---@param query? uqpay.transactions_query
---@return uqpay.transactions_page? page
---@return string? message
---@return uqpay.error? err
function client:transactions(query) end

---One page of the connected accounts. Blocks, for at most the timeout.
---@param query? uqpay.list_query
---@return uqpay.accounts_page? page
---@return string? message
---@return uqpay.error? err
function client:accounts(query) end

---The same as a call object.
---@param query? uqpay.balances_query
---@return uqpay.call
function client:start_balances(query) end

---The same as a call object.
---@param query? uqpay.transactions_query
---@return uqpay.call
function client:start_transactions(query) end

---The same as a call object.
---@param query? uqpay.list_query
---@return uqpay.call
function client:start_accounts(query) end

---An iterator over every balance of the account. A failure is raised as a string with the
---message and the kind, at each further call, too: a loop that ends is complete. With
---`on_error = "return"` the iterator returns false, message and error once; after that nil,
---message and error. `timeout` applies to each page's call.
---@param query? uqpay.each_balance_query
---@return fun(): (uqpay.balance|false)?, string?, uqpay.error?
function client:each_balance(query) end

---An iterator over every transaction of the account; a range of more than 89 days is split, the
---newest part first. Fails as each_balance does.
---@param query? uqpay.each_transaction_query
---@return fun(): (uqpay.transaction|false)?, string?, uqpay.error?
function client:each_transaction(query) end

---An iterator over every connected account. Fails as each_balance does.
---@param query? uqpay.each_account_query
---@return fun(): (uqpay.account|false)?, string?, uqpay.error?
function client:each_account(query) end

---The current token, and its expiry in Unix seconds if known; gets a token if there is none.
---Blocks, for at most the timeout.
---@param options? uqpay.common_options
---@return string? token
---@return (integer|string)? expires_at_or_message
---@return uqpay.error? err
function client:token(options) end

---The next call gets a new token. Raises if the token was given as a string.
function client:invalidate_token() end

---@class uqpay.batch_options: uqpay.common_options
---@field on_behalf_of? string
---@field concurrency? integer                     # calls in flight (default 32; 1 to 1000)
---@field progress? fun(info: uqpay.progress_info) # after each query

---@class uqpay.progress_info
---@field done integer    # finished queries, including failed ones
---@field failed integer
---@field total? integer  # if the queries are a list
---@field rate number     # queries a second
---@field ends? number    # Unix seconds, estimated

---An iterator over many balances, a few at a time, in order of completion: query and balance, or
---query, nil, message and error. It blocks; under an event loop it yields. Raises if the list
---has holes or other keys.
---@param queries (string|uqpay.balance_query)[]|fun(): (string|uqpay.balance_query)?
---@param options? uqpay.batch_options
---@return fun(): (string|uqpay.balance_query)?, uqpay.balance?, string?, uqpay.error?
function client:batch(queries, options) end

---A call object: a call in flight. Its results are those of the blocking method.
---@class uqpay.call
local call = {}

---Drives the call, never blocks. Returns true if it is finished.
---@return boolean
function call:step() end

---True if it is finished. Does nothing else.
---@return boolean
function call:done() end

---What the blocking method would have returned. Raises if the call is not finished.
---@return any
---@return string? message
---@return uqpay.error? err
function call:result() end

---Ends the call with the kind `canceled`.
function call:cancel() end

---A number that is unique within the client.
---@return integer
function call:id() end

---Requests sent so far, including libcurl's own resends; 0 while it waits for the rate limit.
---@return integer
function call:attempts() end

---The client's descriptor; nil: it has none.
---@return integer?
function call:pollfd() end

---@return "r"
function call:events() end

---Seconds after which it must be stepped, even if the descriptor is not readable.
---@return number
function call:timeout() end

---The descriptor for LuaSocket's select; -1: the client has none.
---@return integer
function call:getfd() end

---True if the next step is due at once. For LuaSocket's select.
---@return boolean
function call:dirty() end

---`client:balance` without waiting. Raises as that does; for a wrong value the call object is
---finished already.
---@param currency string
---@param options? uqpay.call_options
---@return uqpay.call
---@overload fun(self: uqpay.client, query?: uqpay.balance_query): uqpay.call
function client:start_balance(currency, options) end

---`client:token` without waiting.
---@param options? uqpay.common_options
---@return uqpay.call
function client:start_token(options) end

---Drives all calls, waiting for at most so many seconds (default 0). Returns true if a call is
---due.
---@param seconds? number
---@return boolean
function client:step(seconds) end

---A call object that is due; nil: none. Each is returned once. Calls of batches and list
---iterators are not returned.
---@return uqpay.call?
function client:ready() end

---One descriptor for all calls; nil: the client has none.
---@return integer?
function client:pollfd() end

---@return "r"
function client:events() end

---Seconds after which `client:step` is due, even if the descriptor is not readable; nil: never.
---@return number?
function client:timeout() end

---Counts of what the client has done so far.
---@return uqpay.stats
function client:stats() end

---Closes the connections and forgets the token. Calls in flight end with the kind
---`canceled`. Closing again does nothing. A client closes itself when it is collected, and
---from Lua 5.4 on at the end of a `<close>` variable's block.
function client:close() end

return uqpay
