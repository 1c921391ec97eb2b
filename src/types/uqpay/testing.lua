---@meta _

---Tests of programs that use uqpay: a sandbox within the process, which answers as the API
---does. No request leaves the process and no test waits: a sandbox has a clock of its own.
---@class uqpay.testing
local testing = {}

---A new sandbox. Without balances and accounts it has those of the sandbox server.
---A bad seed raises an error that names the field.
---@param seed? uqpay.testing.seed
---@return uqpay.testing.sandbox
function testing.sandbox(seed) end

---A client of a new sandbox with these balances, and the sandbox.
---@param balances? table<string, uqpay.testing.balance>
---@param options? uqpay.options
---@return uqpay.client client
---@return uqpay.testing.sandbox sandbox
function testing.client(balances, options) end

---An error as a call returns it; its other fields are given. An unknown kind raises an error.
---@param kind uqpay.kind
---@param fields? table<string, any>
---@return uqpay.error
function testing.error(kind, fields) end

---The exact digits of the available balance, or several fields.
---@alias uqpay.testing.balance string|uqpay.testing.balance_fields

---Amounts are text, for their digits: `"100.00"`.
---@class uqpay.testing.balance_fields
---@field available? string
---@field margin? string
---@field frozen? string
---@field status? string the default is `"ACTIVE"`

---@class uqpay.testing.account
---@field id? string a UUID
---@field short_id? string
---@field name? string by which the methods of the sandbox know the account, too
---@field status? string the default is `"ACTIVE"`
---@field business? string[] the default is `{ "ISSUING" }`
---@field balances? table<string, uqpay.testing.balance>

---@class uqpay.testing.seed
---@field balances? table<string, uqpay.testing.balance> of the account that the token is for
---@field accounts? uqpay.testing.account[] its connected accounts
---@field settings? uqpay.testing.settings also after a reset
---@field clock? { now: (fun(): number), sleep: fun(seconds: number) } by default a clock that moves by `sleep` and `advance` only

---How the API behaves. uqpay/testing/server/settings.lua explains more settings, for faulty
---answers.
---@class uqpay.testing.settings
---@field amounts? "number"|"string"|"mixed" how the API sends amounts
---@field rate_limit? integer requests in a window; 0: no limit
---@field token_rate_limit? integer logins in a window; 0: no limit
---@field rate_window? number seconds
---@field retry_after? string the header of a 429: `""`, `"seconds"`, `"date"` or a text
---@field delay? number seconds that each answer takes
---@field single_token? boolean a new token ends the one before it
---@field token_life? number seconds
---@field [string] any

---One of `status`, `lost`, `slow`, `cut`, `odd` and `kind` says what happens, the others when
---and how.
---@class uqpay.testing.fault
---@field status? integer the API answers with this status
---@field lost? "before"|"after" the connection ends, before or after the request was worked on
---@field slow? number seconds that the work takes
---@field cut? true|integer the answer ends within its body; at most after so many bytes
---@field odd? "garbage"|"html"|"empty"|"redirect"|"processing"|"huge"|"body" an answer that is not the API's; `"body"`: status 200 with `body`
---@field kind? "connect"|"dns"|"tls"|"timeout"|"protocol" the wire fails in this way
---@field times? integer so many requests (1), at least 1
---@field skip? integer so many requests pass before
---@field endpoint? "token"|"balance"|"balances"|"transactions"|"accounts" only its requests
---@field account? string only requests on behalf of this account
---@field message? string the error's
---@field code? integer in the body: `{"code":…,"message":…}`
---@field shape? "A"|"B"|"C"|"D"|"E"|"F"|"G"|"H" the form of the body: see uqpay/testing/server/reply.lua
---@field body? string the answer's
---@field headers? table<string, string> more headers of the answer
---@field retry_after? number|string the answer's header Retry-After

---A request that arrived. `fields` has the arguments of its query, or the members of its body.
---@class uqpay.testing.request
---@field n integer
---@field endpoint? string
---@field method string
---@field path string
---@field query? string
---@field headers table<string, string> by lower-case names
---@field body string
---@field fields table<string, any>
---@field account? string the header x-on-behalf-of
---@field token? string
---@field idempotency_key? string
---@field status? integer nil: there was no answer
---@field fault? string
---@field time number Unix seconds on the sandbox's clock
---@field ended? number

---The name of an endpoint; or fields of a request, its arguments or headers, with their values.
---@alias uqpay.testing.filter string|table<string, any>

---Accounts are named by their name, id or short id; nil is the account that the token is for.
---Faults take connected accounts only.
---@class uqpay.testing.sandbox
---@field transport fun(request: table): table?, string?, string? for the option `transport`
---@field clock { now: (fun(): number), sleep: fun(seconds: number) } for the option `clock`
---@field client_id string
---@field api_key string
---@field token string a token that lives long
---@field account_id string of the account that the token is for
---@overload fun(request: table): table?, string?, string?
local sandbox = {}

---A client of this sandbox, which logs in; options are those of `uqpay.new`.
---@param options? uqpay.options
---@return uqpay.client
function sandbox:client(options) end

---The options of such a client, for `new` of uqpay.cqueues and others.
---@param options? uqpay.options
---@return uqpay.options
function sandbox:options(options) end

---Moves the clock.
---@param seconds number
function sandbox:advance(seconds) end

---Orders a fault for the next requests that fit. Faults wait in the order in which they came.
---@param fault uqpay.testing.fault
function sandbox:fail(fault) end

---Adds to a balance, with a transaction. Returns the transaction's id.
---@param account string?
---@param currency string
---@param amount string
---@return string id
function sandbox:deposit(account, currency, amount) end

---Takes from a balance, with a transaction. The balance may become negative.
---@param account string?
---@param currency string
---@param amount string
---@return string id
function sandbox:spend(account, currency, amount) end

---Sets a balance, or removes it (nil), without a transaction.
---@param account string?
---@param currency string
---@param balance uqpay.testing.balance?
function sandbox:set_balance(account, currency, balance) end

---Adds a transaction without a change of the balance; all fields are text and optional.
---@param account string?
---@param fields? table<string, string>
---@return string id
function sandbox:add_transaction(account, fields) end

---Adds a connected account. Returns its id.
---@param account uqpay.testing.account
---@return string id
function sandbox:add_account(account) end

---Drops the faults that no request has met yet.
function sandbox:clear_faults() end

---Ends all tokens: the next call must log in, or fails with `auth`.
function sandbox:expire_tokens() end

---@param changes uqpay.testing.settings
function sandbox:settings(changes) end

---The requests that arrived, oldest first.
---@param filter? uqpay.testing.filter
---@return uqpay.testing.request[]
function sandbox:requests(filter) end

---Restores the first state, except the clock.
function sandbox:reset() end

---Raises unless exactly so many requests fit.
---@param count integer
---@param filter? uqpay.testing.filter
function sandbox:assert_requests(count, filter) end

---Raises unless a request for the endpoint fits. Returns the last one.
---@param endpoint string
---@param fields? table<string, any>
---@return uqpay.testing.request
function sandbox:assert_called(endpoint, fields) end

---Raises if a fault has not met all of its requests.
function sandbox:assert_no_faults_left() end

return testing
