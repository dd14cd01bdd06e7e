"""What a source's word weighs, and how fast an opinion ages: data."""
