function response.same() end
function response.same() end
