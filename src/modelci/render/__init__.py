"""Reports and plans as text: values in, text out, and nothing else touched."""
