function response.half(
