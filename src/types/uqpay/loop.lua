---@meta _

-- The interface of uqpay.cqueues, uqpay.luv and uqpay.copas.

---`uqpay` for programs that run in an event loop.
---@class uqpay.loop: uqpay
local loop = {}

---A client that yields to the loop. A bad option raises an error that names it.
---@param options uqpay.options
---@return uqpay.loop.client
function loop.new(options) end

---The same from environment variables, see `uqpay.from_env`.
---@param options? uqpay.options
---@return uqpay.loop.client
function loop.from_env(options) end

---A `uqpay.client` whose calls (`balance` and the others) and iterators yield while they
---wait, if they are called in a coroutine of the loop; elsewhere they block. They cannot
---yield where Lua cannot: in hooks, in the token function, and in Lua 5.1 within `pcall` and
---as the iterator of a `for` loop; there the interpreter raises an error. The module drives the
---client, so it lacks the methods for a loop of your own.
---@class uqpay.loop.client: uqpay.client
---@field step nil
---@field ready nil
---@field pollfd nil
---@field events nil
---@field timeout nil
