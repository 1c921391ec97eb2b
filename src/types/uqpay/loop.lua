---@meta _

-- What uqpay.cqueues, uqpay.luv and uqpay.copas have in common.

---`uqpay` for programs that run in an event loop.
---@class uqpay.loop: uqpay
local loop = {}

---A client that yields to the loop. Raises on a bad option, naming it.
---@param options uqpay.options
---@return uqpay.loop.client
function loop.new(options) end

---The same with what environment variables say, see `uqpay.from_env`.
---@param options? uqpay.options
---@return uqpay.loop.client
function loop.from_env(options) end

---A `uqpay.client` whose calls (`balance` and the others) and iterators yield while they
---wait, if they are called in a coroutine of the loop; elsewhere they block. They cannot
---yield where Lua cannot: in hooks, in the token function, and in Lua 5.1 within `pcall` and
---as the iterator of a `for` loop; there the interpreter raises an error. What a program
---would do in the place of a loop is not for this client.
---@class uqpay.loop.client: uqpay.client
---@field step nil
---@field ready nil
---@field pollfd nil
---@field events nil
---@field timeout nil
