"""The gallery on Milvus, past one machine."""
