---@meta md5

---@class md5
local md5 = {}

---The digest, 16 bytes.
---@param text string
---@return string
function md5.sum(text) end

---The digest in hexadecimal digits.
---@param text string
---@return string
function md5.sumhexa(text) end

---An HMAC in hexadecimal digits.
---@param text string
---@param key string
---@return string
function md5.hmacmd5(text, key) end

---Each byte of one string with that of the other, which is as long.
---@param a string
---@param b string
---@return string
function md5.exor(a, b) end

return md5
