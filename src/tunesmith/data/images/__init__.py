"""Images: decoded by Pillow, prepared as their base asks, kept, varied, and laid in batches.

`decode` opens one file or says why it cannot, `preparation` is how a base wants to see, `render`
checks rows, `pixels` holds all prepared images of a run, `views` draws variations of them, and
`batches` makes the steps of training.
"""
