-- expect(value).to_be(other) and the like: assertions that say what they found.
local values = require "skua.test.values"
local noted = require "skua.test.calls"

local show, difference = values.show, values.difference

-- Each gives whether it holds, what was expected, and optionally more about it, and another name for the value.
local checks = {}

function checks.to_be(value, other)
  return rawequal(value, other) or value == other, "to be " .. show(other)
end

function checks.to_equal(value, other)
  local where, got, wanted = difference(value, other)
  local detail
  if where and where ~= "" then detail = "at " .. where .. ": expected " .. show(wanted) .. ", got " .. show(got) end
  return not where, "to equal " .. show(other), detail
end

function checks.to_be_nil(value)
  return value == nil, "to be nil"
end

function checks.to_be_truthy(value)
  return not not value, "to be neither nil nor false"
end

function checks.to_be_falsy(value)
  return not value, "to be nil or false"
end

function checks.to_be_a(value, name)
  return type(value) == name or math.type ~= nil and math.type(value) == name, "to be a value of type " .. tostring(name)
end

function checks.to_be_close_to(value, other, tolerance)
  tolerance = tolerance or math.max(math.abs(other), 1) * 1e-9
  local close = type(value) == "number" and (value == other or math.abs(value - other) <= tolerance)
  return close, "to be at most " .. show(tolerance) .. " away from " .. show(other)
end

local function contains(value, other)
  if type(value) == "string" then return string.find(value, tostring(other), 1, true) ~= nil end
  if type(value) ~= "table" then return false end
  for _, v in pairs(value) do
    if not difference(v, other) then return true end
  end
  return false
end

function checks.to_contain(value, other)
  return contains(value, other), "to contain " .. show(other)
end

function checks.to_match(value, pattern)
  return type(value) == "string" and string.find(value, pattern) ~= nil, "to match " .. show(pattern)
end

local function has_fields(err, fields)
  if type(err) ~= "table" then return false end
  for k, v in pairs(fields) do
    if difference(err[k], v) then return false end
  end
  return true
end

local function callable(v)
  local meta = getmetatable(v)
  return type(v) == "function" or type(meta) == "table" and meta.__call ~= nil
end

function checks.to_error(value, what)
  if not callable(value) then
    error("expect: to_error calls a function: expect(function() ... end).to_error(), got " .. show(value), 3)
  end
  local ok, err = pcall(value)
  local wanted = "to raise an error"
  if what ~= nil then wanted = wanted .. " with " .. show(what) end
  if ok then return false, wanted, nil, "the function" end
  local found = true
  if type(what) == "table" then
    found = has_fields(err, what)
  elseif what ~= nil then
    found = string.find(type(err) == "table" and tostring(err) or values.text(err), what) ~= nil or string.find(values.text(err), what) ~= nil
  end
  return found, wanted, "it raised: " .. values.text(err), "the function"
end

checks.to_fail = checks.to_error

local function calls_of(value)
  local calls = noted.of(value)
  if not calls then error("expect: a spy, or a handler of a mock, is expected, got " .. show(value), 4) end
  return calls
end

function checks.to_have_been_called(value, times)
  local n = #calls_of(value)
  if times == nil then return n > 0, "to have been called", nil, "the spy" end
  return n == times, "to have been called " .. times .. " times", "it has been called " .. n .. " times", "the spy"
end

local function same_arguments(call, n, arguments)
  if call.n ~= n then return false end
  for i = 1, n do
    if difference(call[i], arguments[i]) then return false end
  end
  return true
end

local function arguments_text(call)
  local parts = {}
  for i = 1, call.n do parts[i] = show(call[i]) end
  return "(" .. table.concat(parts, ", ") .. ")"
end

function checks.to_have_been_called_with(value, ...)
  local calls, wanted = calls_of(value), { n = select("#", ...), ... }
  local what = "to have been called with " .. arguments_text(wanted)
  local got = {}
  for i, call in ipairs(calls) do
    if same_arguments(call, wanted.n, wanted) then return true, what, nil, "the spy" end
    if i <= 10 then got[#got + 1] = arguments_text(call) end
  end
  local detail = #got > 0 and "it has been called with " .. table.concat(got, " ") or "it has not been called"
  return false, what, detail, "the spy"
end

-- How many letters of two names are left when what they begin and end with alike is taken away.
local function apart(a, b)
  local most, first, last = math.min(#a, #b), 0, 0
  while first < most and string.byte(a, first + 1) == string.byte(b, first + 1) do first = first + 1 end
  while last < most - first and string.byte(a, #a - last) == string.byte(b, #b - last) do last = last + 1 end
  return math.max(#a, #b) - first - last
end

-- A hint at the check that somebody may have meant: toBeNil, to_eqal.
local function hint(name)
  local function letters(s) return (string.gsub(string.lower(s), "_", "")) end
  local best, least = nil, 3
  for known in pairs(checks) do
    local n = apart(letters(name), letters(known))
    if n < least or n == least and best and known < best then best, least = known, n end
  end
  return best and "; did you mean " .. best .. "?" or ""
end

local expectation

function expectation(value, opposite)
  local self = {}
  return setmetatable(self, { __index = function(_, name)
    if name == "never" or name == "not_" then return expectation(value, not opposite) end
    local check = checks[name]
    if not check then error("expect has no check " .. tostring(name) .. hint(tostring(name)), 2) end
    return function(...)
      local first = ...
      if rawequal(first, self) then
        error("expect: a check is called with a dot: expect(value)." .. name .. "(...)", 2)
      end
      local ok, what, detail, subject = check(value, ...)
      if ok ~= opposite then return end
      local text = "expected " .. (subject or show(value)) .. " " .. (opposite and "never " or "") .. what
      if detail then text = text .. "\n  " .. detail end
      error(text, 2)
    end
  end })
end

return function(value)
  return expectation(value, false)
end
