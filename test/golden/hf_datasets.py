"""What Hugging Face's `datasets` makes of a Parquet file of samples, and the same file as it writes it:
    python test/golden/hf_datasets.py IN.parquet OUT.parquet
Prints a line of JSON for each row: roles, parts, sizes of decoded pictures, metadata.
"""
import json
import sys

from datasets import Image, load_dataset

given, written = sys.argv[1:]
rows = load_dataset("parquet", data_files=given, split="train")
assert isinstance(rows.features["images"].feature, Image), rows.features
for row in rows:
    told = {
        "id": row["id"],
        "sizes": [list(image.size) for image in row["images"]],
        "messages": row["messages"],
        "metadata": row["metadata"],
    }
    print(json.dumps(told))
rows.to_parquet(written)
