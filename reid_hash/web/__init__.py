"""The gallery page: a local web page on Gradio. Only this package imports gradio."""
