---@meta uqpay.cqueues

---`uqpay` for the coroutines of cqueues controllers.
---@type uqpay.loop
local cqueues

return cqueues
